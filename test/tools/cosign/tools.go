//go:build tools

// Package tools names the program that signs a release, so that go.mod and
// go.sum pin it and everything it needs.
package tools

import _ "github.com/sigstore/cosign/v3/cmd/cosign"
