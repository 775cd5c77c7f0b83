//go:build tools

// Package tools names the program that the end-to-end tests build from this
// module, so that go.mod and go.sum pin it and everything it needs.
package tools

import _ "github.com/external-secrets/external-secrets"
