package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// noSecret is an ErrNoSecret that says which Secret, and how it is gone.
type noSecret struct{ text string }

func (e noSecret) Error() string        { return e.text }
func (e noSecret) Is(target error) bool { return target == provision.ErrNoSecret }

// Secret reads a Secret. If there is none, or not even its namespace, the error
// is provision.ErrNoSecret, but never because of a 404 that is not the API
// server's.
func (c *Client) Secret(ctx context.Context, namespace, name string) (provision.Secret, error) {
	var found secret
	err := c.patiently(ctx, func() error {
		found = secret{}
		return ask(ctx, c.rest.Get().Namespace(namespace).Resource("secrets").Name(name), &found)
	})
	path := namespace + "/" + name
	switch {
	case isGone(err, "secrets", name):
		return provision.Secret{}, noSecret{"there is no Secret " + path}
	case apiForbids(err) && c.noNamespace(ctx, namespace):
		return provision.Secret{}, noSecret{"there is no namespace " + namespace}
	case apierrors.IsNotFound(err):
		err = elsewhere(http.StatusNotFound)
	case apiForbids(err):
		err = fmt.Errorf("%w; the service account needs a Role that allows it to get the Secret", oneLine(err))
	case err == nil && (found.Kind != "Secret" || found.Name != name || found.Namespace != namespace):
		err = errNotKubernetes
	case err == nil && found.DeletionTimestamp != nil:
		return provision.Secret{}, noSecret{"Secret " + path + " is being deleted"}
	case err == nil:
		return toSecret(found), nil
	}
	return provision.Secret{}, oneLine(fmt.Errorf("read Secret %s: %w", path, err))
}

// largestAnswer is how many bytes an answer about Secrets may have: whoever may
// create Secrets must not decide how much memory they take. One Secret always
// fits.
const largestAnswer = 4 << 20

var errTooLarge = errors.New("one Secret is too large")

// ask sends a request once, and decodes the answer.
func ask(ctx context.Context, request *rest.Request, into any) error {
	answer, err := request.MaxRetries(0).Stream(ctx)
	if err != nil {
		return reworded(err)
	}
	defer func() { _ = answer.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer, largestAnswer+1))
	switch {
	case err != nil:
		return err
	case len(text) > largestAnswer:
		return errTooLarge
	case json.Unmarshal(text, into) != nil: // its error may quote a value
		return errors.New("the answer cannot be read")
	}
	return nil
}

// apiForbids reports whether the API server itself forbids something.
func apiForbids(err error) bool {
	return apierrors.IsForbidden(err) && !apierrors.IsUnexpectedServerError(err)
}

// noNamespace reports whether the API server says that there is no such
// namespace: the Role that allowed reading its Secrets went with it.
func (c *Client) noNamespace(ctx context.Context, name string) bool {
	return isGone(c.rest.Get().Resource("namespaces").Name(name).MaxRetries(0).Do(ctx).Error(), "namespaces", name)
}

// isGone reports whether the API server itself says that there is no such
// object: in a Status about it. client-go makes up a Status for any other 404.
func isGone(err error, resource, name string) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsNotFound(err) || apierrors.IsUnexpectedServerError(err) {
		return false
	}
	about := status.ErrStatus.Details
	return about != nil && about.Kind == resource && about.Name == name
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

// toSecret takes what provisioning needs from a Secret; from then on its values
// cannot be printed.
func toSecret(s secret) provision.Secret {
	data := map[string]provision.Sensitive{}
	for key, value := range s.Data {
		data[key] = provision.Hide(string(value))
	}
	for key, value := range s.StringData {
		data[key] = provision.Hide(value)
	}
	return provision.Secret{
		Namespace:       s.Namespace,
		Name:            s.Name,
		UID:             string(s.UID),
		ResourceVersion: s.ResourceVersion,
		Labels:          s.Labels,
		Data:            data,
	}
}
