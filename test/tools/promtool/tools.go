//go:build tools

// Package tools names the program that the tests of the chart check its alerts
// with, so that go.mod and go.sum pin it and everything it needs.
package tools

import _ "github.com/prometheus/prometheus/cmd/promtool"
