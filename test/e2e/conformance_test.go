//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/conformance"
)

// What the fake Nautobot promises, asked of real ones.
func TestConformance(t *testing.T) {
	asSuperuser(t, func(t *testing.T, nautobot target) {
		parts := strings.Split(nautobot.Version, ".")
		conformance.Run(t, conformance.Target{
			URL: nautobot.URL, Token: nautobot.Token, Version: strings.Join(parts[:2], "."),
		})
	})
}
