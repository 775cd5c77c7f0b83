//go:build e2e

package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const (
	release      = "nautobot-token"
	home         = "nautobot" // namespace of the release
	watched      = "openstack"
	nautobotHost = "nautobot.nautobot.svc"
	nautobotPort = 8443 // on the node
)

type object = map[string]any

// chartValues are what the release is installed with.
var chartValues = object{
	"nautobot": object{
		"url":      "https://" + nautobotHost,
		"caBundle": object{"configMap": "nautobot-ca"},
	},
	"cluster": "chain",
	"image":   object{"repository": imageRepository, "tag": imageTag},
	"rules": []any{
		object{"namespace": watched, "usernames": []string{"svc-*"}},
	},
	"rotationGrace": "0s",
}

// install does what the README says: a namespace, the superuser's Secret, the
// chart.
func install(ctx context.Context) error {
	for _, name := range []string{home, watched, "elsewhere"} {
		if err := apply(ctx, object{
			"apiVersion": "v1", "kind": "Namespace",
			"metadata": object{"name": name, "labels": object{"pod-security.kubernetes.io/enforce": "restricted"}},
		}); err != nil {
			return err
		}
	}
	if err := serveNautobot(ctx); err != nil {
		return err
	}
	if err := applySuperuser(ctx); err != nil {
		return err
	}
	if err := helm(ctx, "install", release, chartValues); err != nil {
		return err
	}
	return poll(ctx, 2*time.Minute, listening)
}

func applySuperuser(ctx context.Context) error {
	return apply(ctx, object{
		"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": "nautobot-superuser", "namespace": home},
		"stringData": object{"apitoken": nautobot.Token},
	})
}

// helm installs or upgrades a release of the chart.
func helm(ctx context.Context, verb, name string, values object) error {
	text, err := yaml.Marshal(values)
	if err != nil {
		return err
	}
	file := filepath.Join(cluster.Dir(), name+".yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	_, err = cluster.Helm(ctx, verb, name, "../../charts/nautobot-token", "--namespace", home, "--values", file)
	return err
}

// serveNautobot gives Nautobot a name in the cluster.
func serveNautobot(ctx context.Context) error {
	ca, err := cluster.Expose(nautobotPort, nautobotHost, strings.TrimPrefix(nautobot.URL, "http://"))
	if err != nil {
		return err
	}
	return apply(ctx,
		object{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": object{"name": "nautobot-ca", "namespace": home},
			"data": object{"ca.crt": string(ca)},
		},
		object{
			"apiVersion": "v1", "kind": "Service", "metadata": object{"name": "nautobot", "namespace": home},
			"spec": object{"ports": []any{object{"port": 443}}},
		},
		object{
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
			"metadata":  object{"name": "nautobot", "namespace": home, "labels": object{"kubernetes.io/service-name": "nautobot"}},
			"endpoints": []any{object{"addresses": []any{servers.NodeAddress}}},
			"ports":     []any{object{"port": nautobotPort}},
		})
}

// listening is nil when the release hears everything: the EventSource is
// ready, and the Sensor has a place on the bus.
func listening(ctx context.Context) error {
	for _, part := range []string{"eventsource-name", "sensor-name"} {
		found, err := pods(ctx, part+"="+release)
		if err != nil {
			return err
		}
		if len(found) != 1 || !ready(found[0]) {
			return fmt.Errorf("%d Pods with the label %s, or not ready", len(found), part)
		}
	}
	stream, err := bus(ctx)
	if err != nil {
		return err
	}
	if stream.State.Consumers == 0 {
		return errors.New("nobody listens on the bus")
	}
	return nil
}

func ready(pod corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}
	return false
}

// stream is what NATS says of the EventBus.
type stream struct {
	Name  string
	State struct {
		Messages  int
		Consumers int `json:"consumer_count"`
	}
}

// bus asks NATS itself what is on the EventBus.
func bus(ctx context.Context) (stream, error) {
	servers, err := pods(ctx, "eventbus-name="+release)
	if err != nil {
		return stream{}, err
	}
	for _, pod := range servers {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pod.Status.PodIP+":8222/jsz?acc=js&streams=true", nil)
		if err != nil {
			return stream{}, err
		}
		response, err := cluster.HTTP().Do(request)
		if err != nil {
			return stream{}, err
		}
		defer response.Body.Close()
		var answer struct {
			Accounts []struct {
				Streams []stream `json:"stream_detail"`
			} `json:"account_details"`
		}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			return stream{}, err
		}
		for _, account := range answer.Accounts {
			if len(account.Streams) == 1 {
				return account.Streams[0], nil
			}
		}
	}
	return stream{}, errors.New("the bus has no stream")
}
