//go:build tools

package externalsecrets

// The end-to-end tests build this program from this module, so that go.mod and
// go.sum pin it and everything it needs.
import _ "github.com/external-secrets/external-secrets"
