package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
)

// Chain is the part of the chain that is in the cluster: a release, and the
// Secret that a person asks about.
type Chain struct {
	cluster         *kube.Client
	release         *Release // nil: none was found
	namespace, name string   // of the Secret; empty: it is about the release only
	now             func() time.Time

	source          func(context.Context) (kube.ArgoObject, error)
	sensor          func(context.Context) (kube.ArgoObject, error)
	pods            func(context.Context) ([]kube.Pod, error) // of the release's namespace, except those of finished Jobs
	secret          func(context.Context) (kube.Object, error)
	externalSecrets func(context.Context) ([]kube.ExternalSecret, error) // of the Secret's namespace
	job             func(context.Context) (*kube.Job, error)             // the last of the Secret; nil: there is none
}

// NewChain makes the chain of a release, nil if there is none, for a Secret.
func NewChain(cluster *kube.Client, release *Release, namespace, name string, now func() time.Time) *Chain {
	c := &Chain{cluster: cluster, release: release, namespace: namespace, name: name, now: now}
	c.source = Once(func(ctx context.Context) (kube.ArgoObject, error) {
		return ofRelease(ctx, c, kube.EventSources, "watcher")
	})
	c.sensor = Once(func(ctx context.Context) (kube.ArgoObject, error) {
		return ofRelease(ctx, c, kube.Sensors, "sensor")
	})
	c.pods = Once(func(ctx context.Context) ([]kube.Pod, error) {
		return kube.List(ctx, cluster, kube.Pods, kube.Selection{Namespace: release.Namespace, Fields: "status.phase!=Succeeded,status.phase!=Failed"})
	})
	c.secret = Once(func(ctx context.Context) (kube.Object, error) {
		return kube.Get(ctx, cluster, kube.SecretObjects, namespace, name)
	})
	c.externalSecrets = Once(c.readExternalSecrets)
	c.job = Once(c.readJob)
	return c
}

// Links are those before the Secret's data is looked at, and those after it.
func (c *Chain) Links() (before, after []Link) {
	if c.name != "" {
		before = []Link{c.ExternalSecret, c.Secret}
	}
	if c.release == nil {
		return before, nil
	}
	after = []Link{c.EventBus, c.EventSource, c.Sensor, c.Syncs, c.Quota}
	if c.name != "" {
		after = append(after, c.Job)
	}
	return before, after
}

// ofRelease reads the only object of a kind that a release has.
func ofRelease(ctx context.Context, c *Chain, kind kube.Resource[kube.ArgoObject], part string) (kube.ArgoObject, error) {
	selector := fmt.Sprintf("%s=%s,%s=%s", releaseLabel, c.release.Name, partLabel, part)
	found, err := kube.List(ctx, c.cluster, kind, kube.Selection{Namespace: c.release.Namespace, Labels: selector})
	if err == nil && len(found) == 0 {
		return kube.ArgoObject{}, kube.ErrAbsent
	}
	if err != nil {
		return kube.ArgoObject{}, err
	}
	return found[0], nil
}

// byExternalSecret reports whether the release watches ExternalSecrets, as far as
// that is known.
func (c *Chain) byExternalSecret(ctx context.Context) bool {
	if c.release == nil {
		return false
	}
	source, err := c.source(ctx)
	if err != nil {
		return false
	}
	for _, entry := range source.Spec.Resource {
		if entry.Group != "" {
			return true
		}
	}
	return false
}

// Touch are the commands that make the EventSource report the Secret again.
func (c *Chain) Touch(ctx context.Context) []string {
	if c.byExternalSecret(ctx) {
		all, _ := c.externalSecrets(ctx)
		name := c.name
		for _, one := range all {
			if one.TargetName() == c.name {
				name = one.Metadata.Name
			}
		}
		return []string{forceSync(c.namespace, name)}
	}
	return []string{fmt.Sprintf(`kubectl -n %s annotate secret %s nautobot-token/touched="$(date +%%s)" --overwrite`, c.namespace, c.name)}
}

func forceSync(namespace, name string) string {
	return fmt.Sprintf(`kubectl -n %s annotate externalsecret %s force-sync="$(date +%%s)" --overwrite`, namespace, name)
}

// watches reports whether the release watches the Secret's namespace.
func (c *Chain) watches(source kube.ArgoObject) bool {
	for _, entry := range source.Spec.Resource {
		if entry.Namespace == c.namespace || entry.Namespace == "" {
			return true
		}
	}
	return false
}

func (c *Chain) readExternalSecrets(ctx context.Context) ([]kube.ExternalSecret, error) {
	which := kube.Selection{Namespace: c.namespace}
	found, err := kube.List(ctx, c.cluster, kube.ExternalSecrets("v1"), which)
	if errors.Is(err, kube.ErrNotServed) {
		return kube.List(ctx, c.cluster, kube.ExternalSecrets("v1beta1"), which)
	}
	return found, err
}

// ExternalSecret looks at the one that makes the Secret.
func (c *Chain) ExternalSecret(ctx context.Context) []Finding {
	r := Report{Object: "externalsecret/" + c.namespace}
	all, err := c.externalSecrets(ctx)
	if errors.Is(err, kube.ErrNotServed) {
		return nil // this cluster has no External Secrets Operator
	}
	if err != nil {
		r.Unread(err)
		return r.Findings
	}
	i := slices.IndexFunc(all, func(e kube.ExternalSecret) bool { return e.TargetName() == c.name })
	if i >= 0 {
		r.Object += "/" + all[i].Metadata.Name
		c.externalSecret(ctx, &r, all[i])
	} else if c.byExternalSecret(ctx) {
		r.Fail(nil, "none makes a Secret called %s, and the release watches ExternalSecrets (watch.source)", c.name)
	} else {
		r.OK("none makes a Secret called %s: it comes from somewhere else", c.name)
	}
	for _, one := range all {
		// External Secrets Operator accepts such a value, and can then no longer read
		// its list of objects.
		if _, err := time.ParseDuration(one.Spec.RefreshInterval); err != nil && one.Spec.RefreshInterval != "" {
			path := Report{Object: "externalsecret/" + one.Path()}
			path.Fail([]string{fmt.Sprintf(`kubectl -n %s patch externalsecret %s --type=merge -p '{"spec":{"refreshInterval":"24h"}}'`, one.Metadata.Namespace, one.Metadata.Name)},
				"its refreshInterval is not a duration (a day is 24h): External Secrets Operator no longer sees any change in the whole cluster")
			r.Findings = append(r.Findings, path.Findings...)
		}
	}
	return r.Findings
}

func (c *Chain) externalSecret(ctx context.Context, r *Report, one kube.ExternalSecret) {
	ready := one.Status.Conditions.Get("Ready")
	describe := []string{fmt.Sprintf("kubectl -n %s describe externalsecret %s", c.namespace, one.Metadata.Name)}
	switch {
	case ready.Status == "True" && ready.Reason == "SecretDeleted":
		r.Fail(describe, "the backend has no such entry, and the Secret was deleted (deletionPolicy)")
	case ready.Status == "False":
		r.Fail(append(describe, forceSync(c.namespace, one.Metadata.Name)),
			"%s: the backend does not answer, or its entry does not have what the template needs; its Events have the reason. A previous Secret is kept", word(ready.Reason))
	case ready.Status != "True":
		r.Fail([]string{"kubectl get pods --all-namespaces -l app.kubernetes.io/name=external-secrets"}, "External Secrets Operator has not looked at it yet: is it running?")
	}
	if c.byExternalSecret(ctx) && !labelled(one.Object) {
		r.Fail([]string{fmt.Sprintf("kubectl -n %s label externalsecret %s token/type=nautobot", c.namespace, one.Metadata.Name)},
			"the label token/type=nautobot is missing: the release watches ExternalSecrets (watch.source), and only those that have it")
	}
	if r.fine() {
		r.OK("the Secret was refreshed at %s", clock(one.Status.RefreshTime))
	}
}

func labelled(o kube.Object) bool { return o.Metadata.Labels["token/type"] == "nautobot" }

// Secret looks at the Secret, except for its data.
func (c *Chain) Secret(ctx context.Context) []Finding {
	r := Report{Object: "secret/" + c.namespace + "/" + c.name}
	secret, err := c.secret(ctx)
	mend := []string{fmt.Sprintf("kubectl -n %s get secrets -l token/type=nautobot", c.namespace)}
	switch {
	case errors.Is(err, kube.ErrAbsent):
		r.Fail(mend, "there is no such Secret")
	case err != nil:
		r.Unread(err)
	case secret.Metadata.DeletionTimestamp != nil:
		r.Fail([]string{fmt.Sprintf("kubectl -n %s get secret %s -o jsonpath='{.metadata.finalizers}'", c.namespace, c.name)}, "it is being deleted, and its finalizers keep it")
	case !labelled(secret):
		label := fmt.Sprintf("kubectl -n %s label secret %s token/type=nautobot", c.namespace, c.name)
		r.Fail([]string{label}, "the label token/type=nautobot is missing: nothing sees this Secret. If an ExternalSecret makes it, the label belongs in spec.target.template.metadata.labels there")
	default:
		r.OK("there since %s, with the label token/type=nautobot; last changed at %s", clock(secret.Metadata.CreationTimestamp), clock(secret.Changed()))
	}
	return r.Findings
}

// clock is a time as it is printed.
func clock(t time.Time) string {
	if t.IsZero() {
		return "an unknown time"
	}
	return t.UTC().Format(time.RFC3339)
}

// word is a reason if it has the shape of one: letters and digits.
func word(text string) string {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		return "not ready"
	}
	return text
}
