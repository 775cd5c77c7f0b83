//go:build e2e

package chain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const (
	release          = "nautobot-token"
	byExternalSecret = "by-external-secret-nautobot-token" // of the other release, the names of its objects
	home             = "nautobot"                          // namespace of both
	watched          = "openstack"
	ending           = "ending"     // namespace of accounts that end with their Secret
	stuck            = "stuck"      // namespace of a release whose Pods do not start
	busVolume        = "bus-volume" // a folder of the node
	nautobotHost     = "nautobot.nautobot.svc"
	nautobotPort     = 8443 // on the node
)

type object = map[string]any

// chartValues are what the release is installed with.
var chartValues = object{
	"nautobot": object{
		"url":       "https://" + nautobotHost,
		"hostnames": []string{"nautobot.example.com"}, // of the examples
		"caBundle":  object{"configMap": "nautobot-ca"},
	},
	"cluster": "chain",
	"image":   object{"repository": imageRepository, "tag": imageTag},
	"rules": []any{
		object{"namespace": watched, "usernames": []string{"svc-*"}},
		object{"namespace": "vault", "usernames": []string{"svc-vault"}},
		object{"namespace": "passwordsafe", "usernames": []string{"svc-passwordsafe"}},
		object{"namespace": "2024", "usernames": []string{"svc-*"}},
		object{"namespace": ending, "usernames": []string{"svc-*"}, "revoke": true},
		object{"namespace": "ending-many", "usernames": []string{"svc-*"}, "revoke": true},
	},
	"rotationGrace": "0s",
	"sync":          object{"suspend": true}, // it runs when a test says so
	"revoke":        object{"enabled": true, "settle": "5s", "perMinute": 60},
	"eventBus":      object{"replicas": 1},
	"test":          object{"secret": watched + "/tested"},
}

// install does what the README says: a namespace, the superuser's Secret, the
// chart.
func install(ctx context.Context) error {
	for _, name := range []string{home, watched, "elsewhere", "vault", "passwordsafe", "refreshed", "2024", "billing", stuck, ending, "ending-many"} {
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
	if err := prepareHome(ctx); err != nil {
		return err
	}
	if err := helm(ctx, "install", home, release, chartValues); err != nil {
		return err
	}
	// Another release beside it, to watch ExternalSecrets, with as many servers
	// for its bus as usual and without volumes. It has until its test to come up.
	// Its Jobs have a proxy that is not there: what is in the cluster does without.
	other := maps.Clone(chartValues)
	delete(other, "test")
	delete(other, "revoke")
	other["eventBus"] = object{"persistence": object{"enabled": false}}
	other["watch"] = object{"source": "externalsecret"}
	other["rules"] = []any{object{"namespace": "refreshed", "usernames": []string{"svc-refreshed"}}}
	other["job"] = object{"extraEnv": []any{object{"name": "HTTPS_PROXY", "value": "http://192.0.2.99:3128"}}}
	if err := helm(ctx, "install", home, "by-external-secret", other); err != nil {
		return err
	}
	return poll(ctx, patience, func(ctx context.Context) error { return listening(ctx, release) })
}

// prepareHome makes what a cluster has for a release: a volume for its bus, and
// a quota that lets no Pod in that does not say what it needs.
func prepareHome(ctx context.Context) error {
	volume := filepath.Join(cluster.Dir(), busVolume)
	if err := os.Mkdir(volume, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(volume, 0o777); err != nil { // Kubernetes gives such a volume no owner
		return err
	}
	return apply(ctx,
		object{
			"apiVersion": "v1", "kind": "PersistentVolume", "metadata": object{"name": "bus"},
			"spec": object{
				"capacity": object{"storage": "1Gi"}, "accessModes": []any{"ReadWriteOnce"}, "hostPath": object{"path": volume},
			},
		},
		object{
			"apiVersion": "v1", "kind": "ResourceQuota", "metadata": object{"name": "compute", "namespace": home},
			"spec": object{"hard": object{"requests.cpu": "100", "requests.memory": "1Ti", "limits.memory": "1Ti"}},
		})
}

func applySuperuser(ctx context.Context) error {
	return apply(ctx, object{
		"apiVersion": "v1", "kind": "Secret", "metadata": object{"name": "nautobot-superuser", "namespace": home},
		"stringData": object{"apitoken": nautobot.Token},
	})
}

// helm installs or upgrades a release of the chart.
func helm(ctx context.Context, verb, namespace, name string, values object) error {
	text, err := yaml.Marshal(values)
	if err != nil {
		return err
	}
	file := filepath.Join(cluster.Dir(), namespace+"-"+name+".yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	_, err = cluster.Helm(ctx, verb, name, "../../charts/nautobot-token", "--namespace", namespace, "--values", file)
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

// listening is nil when a release hears everything: the EventSource is ready,
// and the Sensor has a place on the bus for each trigger. Until then an event
// may be lost.
func listening(ctx context.Context, release string) error {
	for _, part := range []string{"eventsource-name", "sensor-name"} {
		found, err := pods(ctx, part+"="+release)
		if err != nil {
			return err
		}
		if len(found) != 1 || !ready(found[0]) {
			return fmt.Errorf("%d Pods with the label %s, or not ready", len(found), part)
		}
	}
	stream, err := bus(ctx, release)
	if err != nil {
		return err
	}
	triggers := 0
	for _, rule := range chartValues["rules"].([]any) {
		triggers++
		if rule.(object)["revoke"] == true {
			triggers++
		}
	}
	if release == byExternalSecret {
		triggers = 1
	}
	if stream.State.Consumers != triggers {
		return fmt.Errorf("the Sensor listens for %d triggers, want %d", stream.State.Consumers, triggers)
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

// natsServer is what one server of NATS says of itself.
type natsServer struct {
	Cluster struct {
		Leader string
		Size   int `json:"cluster_size"`
	} `json:"meta_cluster"`
	Accounts []struct {
		Streams []stream `json:"stream_detail"`
	} `json:"account_details"`
}

// natsServers asks NATS itself, each server of the EventBus of a release.
func natsServers(ctx context.Context, release string) ([]natsServer, error) {
	found, err := pods(ctx, "eventbus-name="+release)
	if err != nil {
		return nil, err
	}
	answers := make([]natsServer, len(found))
	for i, pod := range found {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pod.Status.PodIP+":8222/jsz?acc=js&streams=true", nil)
		if err != nil {
			return nil, err
		}
		response, err := cluster.HTTP().Do(request)
		if err != nil {
			return nil, err
		}
		err = json.NewDecoder(response.Body).Decode(&answers[i])
		response.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// bus is what is on the EventBus of a release.
func bus(ctx context.Context, release string) (stream, error) {
	answers, err := natsServers(ctx, release)
	if err != nil {
		return stream{}, err
	}
	for _, server := range answers {
		for _, account := range server.Accounts {
			for _, s := range account.Streams {
				if s.Name == "default" { // the others hold what the Sensor has noted
					return s, nil
				}
			}
		}
	}
	return stream{}, errors.New("the bus has no stream")
}
