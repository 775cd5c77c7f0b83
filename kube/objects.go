package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// ErrAbsent says that there is no such object; ErrNotServed, that the cluster
// does not know its kind.
var (
	ErrAbsent    = errors.New("there is no such object")
	ErrNotServed = errors.New("the cluster does not know this kind of object")
)

// MayNotError is a missing right.
type MayNotError struct{ Verb, Resource, Namespace string }

func (e MayNotError) Error() string {
	where := " in namespace " + e.Namespace
	if e.Namespace == "" {
		where = " in all namespaces"
	}
	return "may not " + e.Verb + " " + e.Resource + where
}

// Selection says which objects of a kind are meant.
type Selection struct {
	Namespace string // empty: all
	Labels    string // a label selector
	Fields    string // a field selector
}

const objectsPerPage = 500

// List reads the objects of a kind. Unlike Secret, it does not wait for an API
// server that is unavailable.
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
			Kind     string
			Metadata struct{ Continue string }
			Items    []json.RawMessage
		}
		if err := c.read(ctx, at, query, &page); err != nil {
			return err
		}
		if !strings.HasSuffix(page.Kind, "List") {
			return errNotKubernetes
		}
		all = append(all, page.Items...)
		if page.Metadata.Continue == "" {
			break
		}
		if seen.before(page.Metadata.Continue) {
			return fmt.Errorf("%w: its list has no end", errNotKubernetes)
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
// before it, each with its time in front. They are for looking at, not for
// printing: they may hold anything.
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
	case apiForbids(err):
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

// IsForbidden reports whether an error of this package is a missing right.
func IsForbidden(err error) bool {
	return errors.As(err, new(MayNotError)) || apiForbids(err)
}
