package kube

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const pageSize = 250 // Secrets; each has 1 MiB at most, and far less as a rule

// Secrets yields the labelled Secrets of a namespace, or of all if it is empty,
// page by page, and ends with the first error. A namespace that does not exist
// has none.
func (c *Client) Secrets(ctx context.Context, namespace string) iter.Seq2[provision.Secret, error] {
	return func(yield func(provision.Secret, error) bool) {
		next, last := "", ""
		for expired := 0; ; {
			page, err := c.secretPage(ctx, namespace, next)
			switch {
			case apierrors.IsResourceExpired(err) && expired < maxExpired:
				expired++
				next = restOf(err)
				continue
			case isForbidden(err) && namespace != "" && c.noNamespace(ctx, namespace):
				return
			case isForbidden(err):
				err = fmt.Errorf("%w; the service account needs a Role that allows it to list Secrets", oneLine(err))
			}
			if err != nil {
				yield(provision.Secret{}, oneLine(fmt.Errorf("list Secrets: %w", err)))
				return
			}
			for _, found := range page.Items {
				path := found.Namespace + "/" + found.Name
				if path <= last || found.DeletionTimestamp != nil { // lists are in this order
					continue
				}
				last, expired = path, 0
				if !yield(toSecret(found), nil) {
					return
				}
			}
			if next = page.Continue; next == "" {
				return
			}
		}
	}
}

// maxExpired is how often a list may expire without getting on.
const maxExpired = 10

// restOf returns where the rest of a list that expired begins: the API server
// tells. Without that the list begins again.
func restOf(err error) string {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return ""
	}
	return status.ErrStatus.Continue
}

// secretPage reads one page of a list.
func (c *Client) secretPage(ctx context.Context, namespace, next string) (secretList, error) {
	var page secretList
	err := c.patiently(ctx, func() error {
		page = secretList{}
		request := c.rest.Get().Namespace(namespace).Resource("secrets").MaxRetries(0).
			Param("labelSelector", provision.Selector).Param("limit", strconv.Itoa(pageSize))
		if next != "" {
			request = request.Param("continue", next)
		}
		return reworded(request.Do(ctx).Into(&page))
	})
	if err == nil && page.ResourceVersion == "" {
		err = errors.New("what answered is not a Kubernetes API server")
	}
	return page, err
}
