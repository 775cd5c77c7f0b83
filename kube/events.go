package kube

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const (
	component     = "nautobot-token"
	maxEventName  = 253
	maxEventNote  = 1024
	eventNameTail = 17 // a dot and 16 hexadecimal digits
)

// RecordEvent leaves a Kubernetes Event on the Secret, where its owner sees it
// without access to our logs. warning says that something is wrong.
func (c *Client) RecordEvent(ctx context.Context, secret provision.Secret, warning bool, reason, message string, now time.Time) error {
	kind := "Normal"
	if warning {
		kind = "Warning"
	}
	e := event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: secret.Namespace,
			Name:      fmt.Sprintf("%s.%016x", strings.TrimRight(cut(secret.Name, maxEventName-eventNameTail), "-."), now.UnixNano()),
		},
		InvolvedObject: reference{
			APIVersion: "v1", Kind: "Secret",
			Namespace: secret.Namespace, Name: secret.Name,
			UID: types.UID(secret.UID), ResourceVersion: secret.ResourceVersion,
		},
		Type: kind, Reason: reason, Message: cut(message, maxEventNote),
		FirstTimestamp: metav1.NewTime(now), LastTimestamp: metav1.NewTime(now), Count: 1,
		Source:              eventSource{Component: component},
		ReportingController: component,
	}
	err := reworded(c.rest.Post().Namespace(secret.Namespace).Resource("events").MaxRetries(0).Body(&e).Do(ctx).Error())
	if err != nil {
		return oneLine(err)
	}
	return nil
}

// cut shortens text to at most limit bytes of whole characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}
