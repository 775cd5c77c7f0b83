package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Apply makes the objects of a YAML text with one document per object, or
// updates those that exist. Their kinds are whatever the API server knows. An
// object without a namespace, of a kind that lives in one, goes to "default".
func (c *ControlPlane) Apply(ctx context.Context, manifests []byte) error {
	return c.eachObject(ctx, manifests, func(objectPath string, document []byte) error {
		// Server-side apply makes or updates, as needed.
		_, err := c.send(ctx, http.MethodPatch, objectPath+"?fieldManager=test&force=true", "application/apply-patch+yaml", document)
		return err
	})
}

// Delete removes the objects of a YAML text, as far as they exist, and what
// belongs to them: without asking, the API leaves the Pods of a Job. Only their
// kinds and names count.
func (c *ControlPlane) Delete(ctx context.Context, manifests []byte) error {
	return c.eachObject(ctx, manifests, func(objectPath string, _ []byte) error {
		_, err := c.send(ctx, http.MethodDelete, objectPath+"?propagationPolicy=Background", "", nil)
		if status := new(statusError); errors.As(err, &status) && status.code == http.StatusNotFound {
			return nil
		}
		return err
	})
}

// Get returns the JSON that the API has at a path such as
// /api/v1/namespaces/default/secrets/example.
func (c *ControlPlane) Get(ctx context.Context, apiPath string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, apiPath, "", nil)
}

// ServiceAccountKubeconfig writes a kubeconfig for an existing service account,
// with a token that is valid for an hour, and returns its path. The file goes
// away with the control plane.
func (c *ControlPlane) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	request := []byte(`{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}`)
	answer, err := c.send(ctx, http.MethodPost,
		"/api/v1/namespaces/"+namespace+"/serviceaccounts/"+name+"/token", "application/json", request)
	if err != nil {
		return "", err
	}
	var token struct {
		Status struct {
			Token string `json:"token"`
		} `json:"status"`
	}
	if err := json.Unmarshal(answer, &token); err != nil {
		return "", fmt.Errorf("token of service account %s/%s: %w", namespace, name, err)
	}
	kubeconfig := c.path("kubeconfig-" + namespace + "-" + name)
	return kubeconfig, c.writeKubeconfig(kubeconfig, c.URL, namespace, map[string]any{"token": token.Status.Token})
}

// documentSeparator is the line between two documents of a YAML text.
var documentSeparator = regexp.MustCompile(`(?m)^---([ \t].*)?$`)

// eachObject calls do with the API path and the text of each object.
func (c *ControlPlane) eachObject(ctx context.Context, manifests []byte, do func(objectPath string, document []byte) error) error {
	for _, text := range documentSeparator.Split(string(manifests), -1) {
		var object *struct {
			APIVersion string `json:"apiVersion"`
			Kind       string `json:"kind"`
			Metadata   struct {
				Name      string `json:"name"`
				Namespace string `json:"namespace"`
			} `json:"metadata"`
		}
		if err := yaml.Unmarshal([]byte(text), &object); err != nil {
			return fmt.Errorf("manifest: %w\n%s", err, text)
		}
		if object == nil {
			continue // nothing but comments
		}
		if object.Kind == "" || object.Metadata.Name == "" {
			return fmt.Errorf("manifest without a kind or a name:\n%s", text)
		}
		resource, err := c.resourcePath(ctx, object.APIVersion, object.Kind, object.Metadata.Namespace)
		if err == nil {
			err = do(path.Join(resource, object.Metadata.Name), []byte(text))
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.Kind, object.Metadata.Name, err)
		}
	}
	return nil
}

// resourcePath asks the API server under which path it keeps a kind of object.
func (c *ControlPlane) resourcePath(ctx context.Context, apiVersion, kind, namespace string) (string, error) {
	group := "/apis/" + apiVersion
	if !strings.Contains(apiVersion, "/") {
		group = "/api/" + apiVersion
	}
	answer, err := c.Get(ctx, group)
	if err != nil {
		return "", err
	}
	var list struct {
		Resources []struct {
			Name       string `json:"name"`
			Kind       string `json:"kind"`
			Namespaced bool   `json:"namespaced"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return "", fmt.Errorf("GET %s: %w", group, err)
	}
	for _, resource := range list.Resources {
		switch {
		case resource.Kind != kind || strings.Contains(resource.Name, "/"): // the latter is a part of an object
		case !resource.Namespaced:
			return path.Join(group, resource.Name), nil
		case namespace == "":
			return path.Join(group, "namespaces/default", resource.Name), nil
		default:
			return path.Join(group, "namespaces", namespace, resource.Name), nil
		}
	}
	return "", fmt.Errorf("the API server has no kind %s in %s", kind, apiVersion)
}

func (c *ControlPlane) send(ctx context.Context, method, apiPath, contentType string, body []byte) ([]byte, error) {
	return send(ctx, c.client, method, c.URL+apiPath, contentType, body)
}

// statusError is an answer other than success.
type statusError struct {
	method, url string
	code        int
	body        []byte
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s: %d %s: %.500s", e.method, e.url, e.code, http.StatusText(e.code), e.body)
}

// send sends a request and returns the body of the answer.
func send(ctx context.Context, client *http.Client, method, address, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, address, err)
	}
	if response.StatusCode >= 300 {
		return nil, &statusError{method, request.URL.Redacted(), response.StatusCode, answer}
	}
	return answer, nil
}
