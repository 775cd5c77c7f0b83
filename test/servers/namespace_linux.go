package servers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A namespace is what the processes of a node see: its network, mounts and
// process numbers. It lives as long as its first process.
type namespace struct{ pid int }

// inNewNamespaces makes a command the first process of a namespace.
func inNewNamespaces(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS,
	}
}

// inNetwork is a command that runs in the namespace's network.
func (n namespace) inNetwork(program string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(n.pid), "--net", "--", program}, args...)...)
}

// inside is a command that runs in all of the namespace.
func (n namespace) inside(program string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(n.pid), "--net", "--mount", "--pid", "--uts", "--", program}, args...)...)
}

// dial connects to an address in the namespace's network.
func (n namespace) dial(ctx context.Context, network, address string) (connection net.Conn, err error) {
	err = n.do(func() error {
		connection, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return connection, err
}

// listen listens on an address in the namespace's network. Whoever connects to
// it there reaches this program.
func (n namespace) listen(address string) (listener net.Listener, err error) {
	err = n.do(func() error {
		listener, err = net.Listen("tcp4", address)
		return err
	})
	return listener, err
}

// do calls f in a thread that is in the namespace's network. A socket stays in
// the network that it was made in.
func (n namespace) do(f func() error) error {
	result := make(chan error)
	go func() {
		// The thread ends with the goroutine, as it is not unlocked: nothing
		// else ever runs in that network.
		runtime.LockOSThread()
		result <- func() error {
			network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", n.pid))
			if err != nil {
				return err
			}
			defer network.Close()
			if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter the network of process %d: %w", n.pid, err)
			}
			return f()
		}()
	}()
	return <-result
}
