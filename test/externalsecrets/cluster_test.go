//go:build e2e

package externalsecrets

import (
	"encoding/json"
	"testing"
	"time"
)

// apply makes an object in the cluster, or updates it.
func apply(t *testing.T, o any) {
	t.Helper()
	text, err := json.Marshal(o)
	if err == nil {
		err = cluster.Apply(t.Context(), text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// get decodes what the cluster has at a path.
func get(t *testing.T, path string, into any) {
	t.Helper()
	text, err := cluster.Get(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// eventually tries until there is no error, for half a minute.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
