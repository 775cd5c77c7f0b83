package check

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
)

const (
	chartName    = "nautobot-token"
	nameLabel    = "app.kubernetes.io/name"
	partOfLabel  = "app.kubernetes.io/part-of"
	releaseLabel = "app.kubernetes.io/instance"
	partLabel    = "app.kubernetes.io/component"
)

// DefaultNamespace is the release's namespace in README.
const DefaultNamespace = chartName

// Release is an installed chart.
type Release struct {
	Namespace, Name string
	Policy          string // the text of its policy
	template        kube.PodTemplate
	ttl             int64 // seconds that a finished Job is kept
}

// Path is NAMESPACE/NAME.
func (r Release) Path() string { return r.Namespace + "/" + r.Name }

// Releases finds the releases in the namespaces, or in all if none is given. A
// namespace that may not be looked at is an error only if the others have none.
func Releases(ctx context.Context, cluster *kube.Client, namespaces ...string) ([]Release, error) {
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	var found []Release
	var first error
	for _, namespace := range namespaces {
		maps, err := kube.List(ctx, cluster, kube.ConfigMaps, kube.Selection{Namespace: namespace, Labels: partLabel + " in (policy,job)"})
		first = cmp.Or(first, err)
		found = append(found, releasesIn(maps)...)
	}
	if len(found) > 0 {
		return found, nil
	}
	return nil, first
}

// releasesIn puts together the two ConfigMaps of each release.
func releasesIn(maps []kube.ConfigMap) []Release {
	var found []Release
	for _, one := range maps {
		labels := one.Metadata.Labels
		if labels[nameLabel] != chartName && labels[partOfLabel] != chartName { // the chart's values can change either
			continue
		}
		i := slices.IndexFunc(found, func(r Release) bool {
			return r.Namespace == one.Metadata.Namespace && r.Name == labels[releaseLabel]
		})
		if i < 0 {
			i = len(found)
			found = append(found, Release{Namespace: one.Metadata.Namespace, Name: labels[releaseLabel]})
		}
		if text, ok := one.Data["policy.yaml"]; ok {
			found[i].Policy = text
		}
		if text, ok := one.Data["job.yaml"]; ok {
			found[i].readTemplate(text)
		}
	}
	return slices.DeleteFunc(found, func(r Release) bool { return r.Policy == "" })
}

// readTemplate reads the Job that the Sensor creates. A text that cannot be read
// leaves everything empty, which shows as missing settings.
func (r *Release) readTemplate(text string) {
	document, err := kube.OnlyDocument([]byte(text))
	if err != nil {
		return
	}
	var job kube.Job
	if json.Unmarshal(document, &job) != nil {
		return
	}
	r.template = job.Spec.Template
	if job.Spec.TTLSecondsAfterFinished != nil {
		r.ttl = *job.Spec.TTLSecondsAfterFinished
	}
}

// Setting is the value of a variable of the Jobs. Of several with this name,
// Kubernetes takes the last. Empty: it is not set, or refers to what only a Job
// sees.
func (r Release) Setting(variable string) string {
	for _, container := range r.template.Spec.Containers {
		for _, one := range slices.Backward(container.Env) {
			if container.Name == program && one.Name == variable {
				if strings.Contains(one.Value, "$(") {
					return ""
				}
				return one.Value
			}
		}
	}
	return ""
}

const program = "provision" // the container of a Job's Pod

// CA reads the bundle that the Jobs trust; empty: they have none of their own.
func (r Release) CA(ctx context.Context, cluster *kube.Client) (bundle string, report Report) {
	_, key, _ := strings.Cut(r.Setting("NAUTOBOT_CA_FILE"), "/ca/")
	for _, volume := range r.template.Spec.Volumes {
		if volume.Name != "ca" || key == "" {
			continue
		}
		var data map[string]string
		var err error
		switch {
		case volume.ConfigMap != nil:
			report.Object = "configmap/" + r.Namespace + "/" + volume.ConfigMap.Name
			var one kube.ConfigMap
			one, err = kube.Get(ctx, cluster, kube.ConfigMaps, r.Namespace, volume.ConfigMap.Name)
			data = one.Data
		case volume.Secret != nil:
			report.Object = "secret/" + r.Namespace + "/" + volume.Secret.SecretName
			data, err = caSecret(ctx, cluster, r.Namespace, volume.Secret.SecretName)
		default:
			continue
		}
		kind, name, _ := strings.Cut(report.Object, "/"+r.Namespace+"/")
		create := fmt.Sprintf("kubectl -n %s create %s %s --from-file=%s=FILE",
			r.Namespace, map[string]string{"configmap": "configmap", "secret": "secret generic"}[kind], Quote(name), Quote(key))
		switch {
		case errors.Is(err, kube.ErrAbsent):
			report.Fail([]string{create}, "it is missing, and should hold the CA of Nautobot: no Pod of a Job can start without it")
		case err != nil:
			report.Unread(err)
		case !strings.Contains(data[key], "-----BEGIN CERTIFICATE-----"):
			report.Fail([]string{create + " --dry-run=client -o yaml | kubectl apply -f -"}, "its key %s holds no PEM certificate: the CA of Nautobot belongs there", key)
		default:
			report.OK("holds the CA of Nautobot")
		}
		return data[key], report
	}
	return "", report
}

// caSecret reads a Secret with a bundle.
func caSecret(ctx context.Context, cluster *kube.Client, namespace, name string) (map[string]string, error) {
	secret, err := kube.Get(ctx, cluster, kube.SecretData, namespace, name)
	data := map[string]string{}
	for key, value := range secret.Data {
		data[key] = string(value)
	}
	return data, err
}
