//go:build e2e

package conformance

import (
	"os"
	"testing"
)

// TestReal asks a running server, named by the environment.
func TestReal(t *testing.T) {
	target := Target{URL: os.Getenv("CONFORMANCE_URL"), Token: os.Getenv("CONFORMANCE_TOKEN"), Version: os.Getenv("CONFORMANCE_VERSION")}
	if target.URL == "" {
		t.Skip("CONFORMANCE_URL is not set")
	}
	Run(t, target)
}
