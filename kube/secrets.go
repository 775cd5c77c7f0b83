package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// noSecret is an ErrNoSecret that names it.
type noSecret struct{ namespace, name string }

func (e noSecret) Error() string        { return "there is no Secret " + e.namespace + "/" + e.name }
func (e noSecret) Is(target error) bool { return target == provision.ErrNoSecret }

// Secret reads a Secret. If there is none the error is provision.ErrNoSecret.
func (c *Client) Secret(ctx context.Context, namespace, name string) (provision.Secret, error) {
	var secret corev1.Secret
	err := c.rest.Get().Namespace(namespace).Resource("secrets").Name(name).Do(ctx).Into(&secret)
	switch {
	case apierrors.IsNotFound(err):
		return provision.Secret{}, noSecret{namespace, name}
	case apierrors.IsForbidden(err):
		return provision.Secret{}, fmt.Errorf("read Secret %s/%s: %w; the service account needs a Role that allows to get it", namespace, name, err)
	case err != nil:
		return provision.Secret{}, fmt.Errorf("read Secret %s/%s: %w", namespace, name, err)
	case secret.Name != name || secret.Namespace != namespace:
		return provision.Secret{}, fmt.Errorf("read Secret %s/%s: what answered is no Kubernetes API server", namespace, name)
	}
	return toSecret(secret), nil
}

// Source reads one Secret whenever it is asked.
func (c *Client) Source(namespace, name string) provision.Source {
	return source{c, namespace, name}
}

type source struct {
	client          *Client
	namespace, name string
}

func (s source) Secret(ctx context.Context) (provision.Secret, error) {
	return s.client.Secret(ctx, s.namespace, s.name)
}

// toSecret takes what provisioning needs of a Secret; its values cannot be
// printed from then on.
func toSecret(secret corev1.Secret) provision.Secret {
	data := map[string]provision.Sensitive{}
	for key, value := range secret.Data {
		data[key] = provision.Hide(string(value))
	}
	for key, value := range secret.StringData {
		data[key] = provision.Hide(value)
	}
	return provision.Secret{
		Namespace:       secret.Namespace,
		Name:            secret.Name,
		UID:             string(secret.UID),
		ResourceVersion: secret.ResourceVersion,
		Labels:          secret.Labels,
		Data:            data,
	}
}
