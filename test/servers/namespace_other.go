//go:build !linux

package servers

import (
	"context"
	"errors"
	"net"
	"os/exec"
)

// A namespace is what the processes of a node see. Only Linux has them.
type namespace struct{ pid int }

var errNoNamespaces = errors.New("a node of Kubernetes needs Linux")

func inNewNamespaces(command *exec.Cmd) { command.Err = errNoNamespaces }

func (namespace) inNetwork(program string, args ...string) *exec.Cmd {
	return &exec.Cmd{Path: program, Args: args, Err: errNoNamespaces}
}

func (n namespace) inside(program string, args ...string) *exec.Cmd {
	return n.inNetwork(program, args...)
}

func (namespace) dial(context.Context, string, string) (net.Conn, error) { return nil, errNoNamespaces }

func (namespace) listen(string) (net.Listener, error) { return nil, errNoNamespaces }
