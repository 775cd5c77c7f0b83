package nautobot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	nb "github.com/nautobot/go-nautobot/v2"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// classify tells an answer from the lack of one, and Nautobot's answers from
// those of others. go-nautobot also reports an answer that its own models cannot
// read; decoding shows whether ours can.
func (c *Client) classify(call call, resp *http.Response, err error) *Error {
	failed := &Error{Operation: call.operation, write: call.write}
	cleaned := func(text string) string { return clean(text, c.secrets(call)) }
	var arrived *nb.GenericOpenAPIError // the whole body arrived; go-nautobot did not like its shape or the status
	if resp == nil || err != nil && !errors.As(err, &arrived) {
		failed.unanswered(err)
		failed.Reason = cleaned(failed.Reason)
		return failed
	}
	if resp.StatusCode < 300 {
		return nil
	}
	failed.Status = resp.StatusCode
	switch {
	case failed.Status < 400:
		failed.Reason, failed.Hint = redirect(resp)
		failed.Reason = cleaned(failed.Reason)
		return failed
	case failed.Status == http.StatusTooManyRequests:
		failed.retryAfter = retryAfter(resp.Header.Get("Retry-After"))
	case failed.Status >= 500:
		return failed // its "error" can quote a token
	}
	failed.readBody(resp, call, cleaned)
	switch {
	case failed.foreign || !call.bySuperuser():
	case errors.Is(failed, provision.ErrDenied):
		failed.Hint = "the superuser token's account needs " + call.needs + " for this"
	case failed.kind != nil:
		failed.Hint = "the superuser token is not accepted"
	}
	return failed
}

// retryAfter reads a number of seconds or a time; 0: the text is neither.
func retryAfter(text string) time.Duration {
	var pause time.Duration
	if seconds, err := strconv.Atoi(text); err == nil {
		pause = time.Duration(min(seconds, 3600)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		pause = time.Until(at)
	}
	return max(0, min(pause, longestRetryAfter))
}

// unreadable says no more about an answer than its type: the text of a decoding
// error can quote what could not be decoded.
func (c *Client) unreadable(call call, resp *http.Response, err error) *Error {
	if errors.Is(err, errKeysHidden) {
		return keysHidden(call, resp.StatusCode)
	}
	failed := &Error{Operation: call.operation, Status: resp.StatusCode, write: call.write}
	failed.Reason = fmt.Sprintf("the answer cannot be read (%s)", clean(mediaType(resp), c.secrets(call)))
	failed.Hint = "is --nautobot-url right?"
	return failed
}

// keysHidden is the error of tokens that come without their keys.
func keysHidden(call call, status int) *Error {
	return &Error{
		Operation: call.operation, Status: status, write: call.write, Reason: errKeysHidden.Error(),
		Hint: "nautobot-token has to see the keys of an account's own tokens, as Nautobot 2.4 to 3.2 show them: is there a setting, a plug-in or a gateway that hides them?",
	}
}

// Nautobot's own texts, which it never translates.
var tokenErrors = map[string]error{
	"Invalid token": provision.ErrInvalidToken,
	"Token expired": provision.ErrTokenExpired,
	"User inactive": provision.ErrUserInactive,
}

// readBody reads what Nautobot says about a request that it did not carry out:
// {"detail": text}, or {field: [text, ...]}, or a list of the latter. Anything in
// another form is not from Nautobot: it does not count, and is not shown.
func (e *Error) readBody(resp *http.Response, call call, clean func(string) string) {
	body, _ := io.ReadAll(resp.Body)
	var answer any
	isJSON := json.Unmarshal(body, &answer) == nil
	if detail, ok := detailOf(answer); ok {
		e.Reason, e.detail = clean(detail), detail
		if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
			e.kind = provision.ErrDenied
			if token := tokenErrors[detail]; token != nil && !call.byPassword() && !call.anonymous {
				e.kind = token
			}
		}
		return
	}
	if said, fields, ok := fieldErrors(answer, clean); ok && e.Status == http.StatusBadRequest {
		e.Reason, e.fields = limit(strings.Join(said, "; ")), fields
		return
	}
	if e.Status == http.StatusTooManyRequests {
		return // whoever says it, nothing was done
	}
	e.foreign = true
	switch {
	case len(body) == 0:
		e.Reason = "an empty body"
	case isJSON:
		e.Reason = "JSON of a shape other than Nautobot's"
	default:
		e.Reason = clean(mediaType(resp))
	}
	e.Hint = "not Nautobot's kind of answer: is a firewall, a gateway or a proxy in between, or is --nautobot-url wrong?"
	if e.Status == http.StatusBadRequest && wantsTLS(body) {
		e.Reason, e.Hint, e.permanent = "the server speaks https there", "--nautobot-url has to begin with https", true
	}
}

// wantsTLS recognizes how Go, nginx and Apache answer plain http on a TLS port.
func wantsTLS(body []byte) bool {
	text := strings.ToLower(string(body))
	return strings.Contains(text, "plain http") || strings.Contains(text, "http request to an https server")
}

func detailOf(answer any) (string, bool) {
	object, _ := answer.(map[string]any)
	detail, ok := object["detail"].(string)
	return detail, ok && len(object) == 1
}

// maxTexts is how many texts are kept: more would not fit on a line.
const maxTexts = 20

// fieldErrors returns the texts about fields, and the fields' names.
func fieldErrors(answer any, clean func(string) string) (said, fields []string, ok bool) {
	items, ok := answer.([]any)
	if !ok {
		items = []any{answer}
	}
	for _, item := range items {
		object, ok := item.(map[string]any)
		if !ok {
			return nil, nil, false
		}
		for _, field := range slices.Sorted(maps.Keys(object)) {
			texts, ok := textsOf(object[field])
			if !ok {
				return nil, nil, false
			}
			fields = append(fields, field)
			for _, text := range texts {
				if len(said) < maxTexts {
					said = append(said, clean(field)+": "+clean(text))
				}
			}
		}
	}
	return said, fields, len(fields) > 0
}

// textsOf returns the texts about one field: a list, or for a field that is
// itself a list, an object with such lists by position.
func textsOf(value any) (texts []string, ok bool) {
	switch value := value.(type) {
	case []any:
		for _, one := range value {
			text, ok := one.(string)
			if !ok {
				return nil, false
			}
			texts = append(texts, text)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			more, ok := textsOf(value[key])
			if !ok {
				return nil, false
			}
			texts = append(texts, more...)
		}
	}
	return texts, len(texts) > 0
}

// mediaType is the type of the body.
func mediaType(resp *http.Response) string {
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if kind == "" {
		return "a body of unknown type"
	}
	return kind
}

// redirect says where a redirect leads: the origin and no more, since path and
// query may hold anything.
func redirect(resp *http.Response) (reason, hint string) {
	reason, hint = "a redirect, which is not followed", "is --nautobot-url right?"
	if resp.Request == nil {
		return reason, hint
	}
	to, err := resp.Location()
	from := resp.Request.URL
	if err != nil || to.Host == "" || to.Scheme == from.Scheme && to.Host == from.Host {
		return reason, hint
	}
	origin := to.Scheme + "://" + to.Host
	if from.Scheme == "http" && to.Scheme == "https" {
		hint = "--nautobot-url has to begin with https"
	}
	return "a redirect to " + origin + ", which is not followed", hint
}
