package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

const (
	pageSize = 250 // Secrets
	// largestPage is how many bytes a page may have: a page of large Secrets is
	// asked for again with half as many. One Secret always fits.
	largestPage = 4 << 20
)

var errLargePage = errors.New("one Secret is too large")

// Secrets yields the labelled Secrets of a namespace, or of all if it is empty,
// page by page, and ends with the first error. A namespace that does not exist
// has none.
func (c *Client) Secrets(ctx context.Context, namespace string) iter.Seq2[provision.Secret, error] {
	return func(yield func(provision.Secret, error) bool) {
		next, last, limit := "", "", pageSize
		restarted := false
		for expired := 0; ; {
			page, err := c.secretPage(ctx, namespace, next, limit)
			switch {
			case errors.Is(err, errLargePage) && limit > 1:
				limit /= 2
				continue
			case apierrors.IsResourceExpired(err) && expired < maxExpired:
				expired++
				next = restOf(err)
				restarted = next == ""
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
func (c *Client) secretPage(ctx context.Context, namespace, next string, limit int) (secretList, error) {
	var page secretList
	err := c.patiently(ctx, func() error {
		page = secretList{}
		request := c.rest.Get().Namespace(namespace).Resource("secrets").MaxRetries(0).
			Param("labelSelector", provision.Selector).Param("limit", strconv.Itoa(limit))
		if next != "" {
			request = request.Param("continue", next)
		}
		answer, err := request.Stream(ctx)
		if err != nil {
			return reworded(err)
		}
		defer func() { _ = answer.Close() }()
		return decodePage(answer, &page)
	})
	notAsked := func(s secret) bool { return namespace != "" && s.Namespace != namespace }
	if err == nil && (page.ResourceVersion == "" || next != "" && page.Continue == next || slices.ContainsFunc(page.Items, notAsked)) {
		err = errNotKubernetes
	}
	return page, err
}

// decodePage reads no more than largestPage: whoever may create Secrets must not
// decide how much memory this takes.
func decodePage(answer io.Reader, page *secretList) error {
	text, err := io.ReadAll(io.LimitReader(answer, largestPage+1))
	switch {
	case err != nil:
		return err
	case len(text) > largestPage:
		return errLargePage
	case json.Unmarshal(text, page) != nil: // its error may quote a value
		return errors.New("the answer cannot be read")
	}
	return nil
}
