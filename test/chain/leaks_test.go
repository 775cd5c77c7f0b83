//go:build e2e

package chain

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// nothingLeaks looks for every secret that the tests have used in everything
// that a cluster shows or keeps besides its Secrets: objects, the logs of all
// Pods and of the node's programs, and the bus.
func nothingLeaks(ctx context.Context) error {
	// If it is not found where it is, it would not be found where it must not be.
	text, err := cluster.Get(ctx, "/api/v1/secrets")
	if err != nil {
		return err
	}
	if found(string(text)) == "" {
		return errors.New("no secret was found even in the Secrets")
	}
	var leaks []error
	look := func(where, text string) {
		if what := found(text); what != "" {
			leaks = append(leaks, fmt.Errorf("%s: holds the %s", where, what))
		}
	}
	for _, path := range []string{
		"/apis/batch/v1/jobs", "/apis/batch/v1/cronjobs", "/api/v1/pods", "/api/v1/events", "/apis/events.k8s.io/v1/events", "/api/v1/configmaps",
		"/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets",
		"/apis/argoproj.io/v1alpha1/eventbus", "/apis/argoproj.io/v1alpha1/eventsources", "/apis/argoproj.io/v1alpha1/sensors",
	} {
		text, err := cluster.Get(ctx, path)
		if err != nil {
			return err
		}
		look(path, string(text))
	}
	logs := 0
	err = filepath.WalkDir(cluster.Dir(), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !strings.HasSuffix(path, ".log") || !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		logs++
		look(path, string(content))
		return err
	})
	if err != nil {
		return err
	}
	if logs < 10 {
		leaks = append(leaks, fmt.Errorf("only %d logs were found", logs))
	}
	controller, err := externalSecrets.Log()
	if err != nil {
		return err
	}
	look("the log of External Secrets", controller)
	for _, name := range []string{release, byExternalSecret} {
		leaks = append(leaks, poll(ctx, patience, func(ctx context.Context) error { return busIsEmpty(ctx, name) }))
	}
	return errors.Join(leaks...)
}

// found is which of the secrets a text contains, in any form; "" if none.
func found(text string) string {
	secretsMu.Lock()
	defer secretsMu.Unlock()
	for value, what := range secrets {
		for _, form := range forms(value) {
			if strings.Contains(text, form) {
				return what
			}
		}
	}
	return ""
}

// forms are the ways in which a text can contain a secret: as it is, escaped,
// in base64, and in what was itself in base64, as an event on the bus is.
func forms(value string) []string {
	inJSON, _ := json.Marshal(value) // of a string: cannot fail
	all := []string{value, strings.Trim(string(inJSON), `"`), url.QueryEscape(value)}
	once := inBase64(value)
	all = append(all, once...)
	for _, form := range once {
		all = append(all, inBase64(form)...)
	}
	return all
}

// inBase64 is what the encoding of any text that holds value contains: that
// depends on where in the text it begins.
func inBase64(value string) []string {
	var all []string
	for before := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", before) + value))
		all = append(all, strings.TrimRight(encoded[(before*4+2)/3:len(encoded)-4], "="))
	}
	return all
}
