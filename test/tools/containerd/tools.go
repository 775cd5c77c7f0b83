//go:build tools

// Package tools names the programs that the end-to-end tests build from this
// module, so that go.mod and go.sum pin them and everything they need.
package tools

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
)
