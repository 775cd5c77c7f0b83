package nautobottest_test

import (
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/test/conformance"
)

// TestConformance asks the fake what real servers are asked.
func TestConformance(t *testing.T) {
	for _, version := range []string{"2.4", "3.2"} {
		t.Run(version, func(t *testing.T) {
			s := nautobottest.New(nautobottest.Options{Version: version})
			defer s.Close()
			conformance.Run(t, conformance.Target{URL: s.URL, Token: s.Token, Version: version})
		})
	}
}
