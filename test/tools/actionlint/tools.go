//go:build tools

// Package tools names the program that `make lint` builds from this module, so
// that go.mod and go.sum pin it and everything it needs.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
