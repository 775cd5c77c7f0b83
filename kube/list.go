package kube

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const pageSize = 250 // Secrets; if they are large, a page is asked for again with half as many

// Secrets yields the labelled Secrets of a namespace, or of all if it is empty,
// page by page, and ends with the first error. A namespace that does not exist
// has none.
func (c *Client) Secrets(ctx context.Context, namespace string) iter.Seq2[provision.Secret, error] {
	return func(yield func(provision.Secret, error) bool) {
		next, last, limit := "", "", pageSize
		restarted, seen := false, continued{}
		for expired := 0; ; {
			page, err := c.secretPage(ctx, namespace, next, limit)
			if err == nil && seen.before(page.Continue) {
				err = errNotKubernetes
			}
			switch {
			case errors.Is(err, errTooLarge) && limit > 1:
				limit /= 2
				continue
			case apierrors.IsResourceExpired(err) && expired < maxExpired:
				expired++
				if next = restOf(err); next == "" {
					restarted, seen = true, continued{}
				}
				continue
			case apiForbids(err) && namespace != "" && c.noNamespace(ctx, namespace):
				return
			case apiForbids(err):
				err = fmt.Errorf("%w; the service account needs a Role that allows it to list Secrets", oneLine(err))
			}
			if err != nil {
				yield(provision.Secret{}, oneLine(fmt.Errorf("list Secrets: %w", err)))
				return
			}
			for _, found := range page.Items {
				path := found.Namespace + "/" + found.Name
				if restarted && path <= last || found.DeletionTimestamp != nil { // lists are in this order
					continue
				}
				last, expired = max(last, path), 0
				if !yield(toSecret(found), nil) {
					return
				}
			}
			if next = page.Continue; next == "" {
				return
			}
			limit = min(2*limit, pageSize)
		}
	}
}

// maxExpired is how often a list may expire without making progress.
const maxExpired = 10

// restOf returns where the rest of an expired list begins, if the API server says
// so. If it does not, the list starts over.
func restOf(err error) string {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok {
		return ""
	}
	return status.ErrStatus.Continue
}

// continued holds the continue tokens of a list. One that came again would make
// the list endless.
type continued map[string]bool

func (c continued) before(next string) bool {
	seen := c[next]
	c[next] = next != ""
	return seen
}

// secretPage reads one page of a list.
func (c *Client) secretPage(ctx context.Context, namespace, next string, limit int) (secretList, error) {
	var page secretList
	err := c.patiently(ctx, func() error {
		page = secretList{}
		request := c.rest.Get().Namespace(namespace).Resource("secrets").
			Param("labelSelector", provision.Selector).Param("limit", strconv.Itoa(limit))
		if next != "" {
			request = request.Param("continue", next)
		}
		return ask(ctx, request, &page)
	})
	notAsked := func(s secret) bool {
		return s.Name == "" || s.Namespace == "" || namespace != "" && s.Namespace != namespace
	}
	if err == nil && (page.Kind != "SecretList" || page.ResourceVersion == "" || slices.ContainsFunc(page.Items, notAsked)) {
		err = errNotKubernetes
	}
	return page, err
}
