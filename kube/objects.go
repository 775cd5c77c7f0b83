package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ErrAbsent says that there is no such object; ErrNotServed, that the cluster
// does not know its kind.
var (
	ErrAbsent    = errors.New("there is no such object")
	ErrNotServed = errors.New("the cluster does not know this kind of object")
)

// MayNotError is the lack of a right.
type MayNotError struct{ Verb, Resource, Namespace string }

func (e MayNotError) Error() string {
	where := " in namespace " + e.Namespace
	if e.Namespace == "" {
		where = " in all namespaces"
	}
	return "may not " + e.Verb + " " + e.Resource + where
}

// Resource is a kind of object, of which T is as much as we read.
type Resource[T any] struct{ group, plural string }

// The kinds that a check of the chain reads. Their types are our own: those of
// the libraries would make the program larger, and know more than it needs.
var (
	ConfigMaps             = Resource[ConfigMap]{"/api/v1", "configmaps"}
	Pods                   = Resource[Pod]{"/api/v1", "pods"}
	Events                 = Resource[Event]{"/api/v1", "events"}
	ResourceQuotas         = Resource[ResourceQuota]{"/api/v1", "resourcequotas"}
	PersistentVolumeClaims = Resource[PersistentVolumeClaim]{"/api/v1", "persistentvolumeclaims"}
	SecretObjects          = Resource[Object]{"/api/v1", "secrets"} // without their data
	SecretData             = Resource[DataObject]{"/api/v1", "secrets"}
	Jobs                   = Resource[Job]{"/apis/batch/v1", "jobs"}
	CronJobs               = Resource[CronJob]{"/apis/batch/v1", "cronjobs"}
	EventBuses             = Resource[ArgoObject]{"/apis/argoproj.io/v1alpha1", "eventbus"}
	EventSources           = Resource[ArgoObject]{"/apis/argoproj.io/v1alpha1", "eventsources"}
	Sensors                = Resource[ArgoObject]{"/apis/argoproj.io/v1alpha1", "sensors"}
)

// ExternalSecrets is the kind in one of its versions.
func ExternalSecrets(version string) Resource[ExternalSecret] {
	return Resource[ExternalSecret]{"/apis/external-secrets.io/" + version, "externalsecrets"}
}

// Object is what all objects have.
type Object struct {
	Metadata struct {
		Namespace, Name   string
		UID               string
		Labels            map[string]string
		CreationTimestamp time.Time
		DeletionTimestamp *time.Time
		ManagedFields     []struct {
			Time        time.Time
			Subresource string
		}
	}
}

// Path is the object's NAMESPACE/NAME.
func (o Object) Path() string { return o.Metadata.Namespace + "/" + o.Metadata.Name }

// Changed is when the object was last written to, its status aside.
func (o Object) Changed() time.Time {
	last := o.Metadata.CreationTimestamp
	for _, written := range o.Metadata.ManagedFields {
		if written.Subresource == "" && written.Time.After(last) {
			last = written.Time
		}
	}
	return last
}

// Condition is one of an object's status.
type Condition struct{ Type, Status, Reason, Message string }

// Conditions are those of an object's status.
type Conditions []Condition

// Get returns the condition of that type; its zero value: there is none.
func (c Conditions) Get(kind string) Condition {
	for _, condition := range c {
		if condition.Type == kind {
			return condition
		}
	}
	return Condition{}
}

// ConfigMap is a ConfigMap.
type ConfigMap struct {
	Object
	Data map[string]string
}

// DataObject is a Secret whose data is no secret: a CA bundle.
type DataObject struct {
	Object
	Data map[string][]byte
}

// Pod is a Pod.
type Pod struct {
	Object
	Spec struct {
		Containers []struct{ Name, Image string }
		Volumes    []struct {
			PersistentVolumeClaim *struct{ ClaimName string }
		}
	}
	Status struct {
		Phase             string
		Reason            string
		Conditions        Conditions
		ContainerStatuses []ContainerStatus
	}
}

// ContainerStatus is what became of a container of a Pod.
type ContainerStatus struct {
	Name             string
	RestartCount     int
	State, LastState struct {
		Waiting    *struct{ Reason string }
		Terminated *Terminated
	}
}

// Terminated is how a container ended.
type Terminated struct {
	ExitCode int
	Reason   string
	Message  string
}

// Event is an Event.
type Event struct {
	Object
	Reason, Message string
}

// ResourceQuota is a quota.
type ResourceQuota struct {
	Object
	Status struct{ Hard, Used map[string]string }
}

// PersistentVolumeClaim is a claim of a volume.
type PersistentVolumeClaim struct {
	Object
	Spec   struct{ StorageClassName string }
	Status struct{ Phase string }
}

// Job is a Job.
type Job struct {
	Object
	Spec struct {
		TTLSecondsAfterFinished *int64
		Template                PodTemplate
	}
	Status struct {
		Active, Failed, Succeeded int
		CompletionTime            *time.Time
		Conditions                Conditions
	}
}

// CronJob is one, as far as it tells how it goes.
type CronJob struct {
	Object
	Spec   struct{ Suspend bool }
	Status struct {
		Active                               []struct{ Name string }
		LastScheduleTime, LastSuccessfulTime time.Time
	}
}

// PodTemplate is the template of a Job's Pods.
type PodTemplate struct {
	Spec struct {
		Containers []Container
		Volumes    []struct {
			Name      string
			ConfigMap *struct{ Name string }
			Secret    *struct{ SecretName string }
		}
	}
}

// Container is one of a template.
type Container struct {
	Name string
	Args []string
	Env  []struct{ Name, Value string }
}

// ArgoObject is an EventBus, an EventSource or a Sensor.
type ArgoObject struct {
	Object
	Spec struct {
		EventBusName string
		Resource     map[string]struct{ Namespace, Group string }
		JetStream    *struct {
			Version  string
			Replicas *int
		}
	}
	Status struct{ Conditions Conditions }
}

// ExternalSecret is one of External Secrets Operator's.
type ExternalSecret struct {
	Object
	Spec struct {
		RefreshInterval string
		Target          struct{ Name string }
	}
	Status struct {
		RefreshTime time.Time
		Conditions  Conditions
	}
}

// TargetName is the name of the Secret that it makes.
func (e ExternalSecret) TargetName() string {
	if e.Spec.Target.Name != "" {
		return e.Spec.Target.Name
	}
	return e.Metadata.Name
}

// Selection says which objects of a kind are meant.
type Selection struct {
	Namespace string // empty: all
	Labels    string // a label selector
	Fields    string // a field selector
}

const objectsPerPage = 500

// List reads the objects of a kind. Unlike Secret, it does not wait for an API
// server that is away.
func List[T any](ctx context.Context, c *Client, r Resource[T], which Selection) ([]T, error) {
	var all []T
	err := c.list(ctx, location{r.group, r.plural, which.Namespace, "", ""}, which, &all)
	return all, err
}

// list reads all pages, and decodes their items into the slice that into points to.
func (c *Client) list(ctx context.Context, at location, which Selection, into any) error {
	query := url.Values{"limit": {strconv.Itoa(objectsPerPage)}}
	if which.Labels != "" {
		query.Set("labelSelector", which.Labels)
	}
	if which.Fields != "" {
		query.Set("fieldSelector", which.Fields)
	}
	var all []json.RawMessage
	for seen := (continued{}); ; {
		var page struct {
			Metadata struct{ Continue string }
			Items    []json.RawMessage
		}
		if err := c.read(ctx, at, query, &page); err != nil {
			return err
		}
		all = append(all, page.Items...)
		if page.Metadata.Continue == "" {
			break
		}
		if seen.before(page.Metadata.Continue) {
			return errors.New("what answered is not a Kubernetes API server: its list has no end")
		}
		query.Set("continue", page.Metadata.Continue)
	}
	items, err := json.Marshal(all)
	if err == nil {
		err = json.Unmarshal(items, into)
	}
	if err != nil { // whose text may quote a value
		return fmt.Errorf("%s: the answer cannot be read", at.plural)
	}
	return nil
}

// Get reads one object. The error is ErrAbsent if there is none.
func Get[T any](ctx context.Context, c *Client, r Resource[T], namespace, name string) (T, error) {
	var object T
	err := c.read(ctx, location{r.group, r.plural, namespace, name, ""}, nil, &object)
	return object, err
}

const logLines = 1000

// PodLog reads the last lines of a container's log, or of the container that ran
// before it, each with its time in front. They are for looking at, not for printing: they may hold anything.
func (c *Client) PodLog(ctx context.Context, namespace, pod, container string, previous bool) ([]string, error) {
	query := url.Values{"tailLines": {strconv.Itoa(logLines)}, "timestamps": {"true"}}
	if container != "" {
		query.Set("container", container)
	}
	if previous {
		query.Set("previous", "true")
	}
	var text string
	err := c.read(ctx, location{"/api/v1", "pods", namespace, pod, "log"}, query, &text)
	return strings.Split(strings.TrimRight(text, "\n"), "\n"), err
}

// location is where the API has an object, a list (without a name), or a part
// of an object.
type location struct{ group, plural, namespace, name, part string }

func (l location) path() []string {
	path := []string{l.group}
	if l.namespace != "" {
		path = append(path, "namespaces", l.namespace)
	}
	path = append(path, l.plural)
	if l.name != "" {
		path = append(path, l.name)
	}
	if l.part != "" {
		path = append(path, l.part)
	}
	return path
}

// read asks once, and decodes JSON, or keeps a text as it is.
func (c *Client) read(ctx context.Context, at location, query url.Values, into any) error {
	request := c.rest.Get().AbsPath(at.path()...).MaxRetries(0)
	for name, values := range query {
		request = request.Param(name, values[0])
	}
	result := request.Do(ctx)
	if err := result.Error(); err != nil { // Raw's would not be the API server's own
		return oneLine(at.explain(reworded(err)))
	}
	answer, err := result.Raw()
	if err != nil {
		return oneLine(err)
	}
	if text, ok := into.(*string); ok {
		*text = string(answer)
		return nil
	}
	if json.Unmarshal(answer, into) != nil { // its error may quote a value
		return fmt.Errorf("%s: the answer cannot be read", at.plural)
	}
	return nil
}

// explain says what a refusal means.
func (l location) explain(err error) error {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return err
	}
	switch {
	case isForbidden(err):
		denied := MayNotError{"get", l.plural, l.namespace}
		if l.name == "" {
			denied.Verb = "list"
		}
		if l.part != "" {
			denied.Resource += "/" + l.part
		}
		return denied
	case !apierrors.IsNotFound(err):
		return err
	case l.name != "" && status.ErrStatus.Details != nil && status.ErrStatus.Details.Name == l.name && !apierrors.IsUnexpectedServerError(err):
		return ErrAbsent
	}
	return ErrNotServed
}

// IsForbidden tells whether an error is the lack of a right.
func IsForbidden(err error) bool {
	return errors.As(err, new(MayNotError)) || isForbidden(err)
}
