package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// errPortTaken means that a server could not listen: between choosing the port
// and using it, somebody else took it.
var errPortTaken = errors.New("port taken")

// On a busy machine servers take long to start and to end. These are for those
// that hang.
const (
	startLimit = 5 * time.Minute
	stopGrace  = 30 * time.Second // then it is killed
)

// process is a server that was started and has not been stopped yet.
type process struct {
	name    string
	log     string         // path of its output
	signal  syscall.Signal // what asks it to end
	command *exec.Cmd
	*child
}

// child is a command that was started.
type child struct {
	ended  chan struct{} // closed when it is gone
	result error         // of Wait, once it is gone
}

// startProcess starts a server, with its output in logDir/name.log. Signal is
// what asks it to end.
func startProcess(logDir, name string, signal syscall.Signal, command *exec.Cmd) (*process, error) {
	p := &process{name: name, log: filepath.Join(logDir, name+".log"), signal: signal, command: command}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	command.Stdout, command.Stderr = log, log
	if p.child, err = launch(command); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// launch starts a command as the leader of a process group, and binds its life
// to that of this program. When it ends, what is left of its group is killed
// before it counts as gone.
func launch(command *exec.Cmd) (*child, error) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Setpgid = true
	killWithParent(command.SysProcAttr)

	started, c := make(chan error), &child{ended: make(chan struct{})}
	go func() {
		// The parent, to the kernel, is the thread that started the command:
		// keep it to the end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err != nil {
			return
		}
		c.result = command.Wait()
		// The number of the ended leader names the group still. No other can
		// have it: numbers are used again only after all others.
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		close(c.ended)
	}()
	return c, <-started
}

// running reports whether it has not ended yet.
func (c *child) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// stop asks p to end, kills it if it does not, and waits until it is gone.
func (p *process) stop() {
	_ = p.command.Process.Signal(p.signal) // fails only if p has ended
	select {
	case <-p.ended:
		return
	case <-time.After(stopGrace):
	}
	_ = p.command.Process.Kill()
	<-p.ended
}

// stopAll ends the processes, last one first.
func stopAll(processes []*process) {
	for i := len(processes) - 1; i >= 0; i-- {
		processes[i].stop()
	}
}

// ready waits until probe succeeds, as long as p runs.
func (p *process) ready(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		err := probe(ctx)
		if !p.running() {
			return p.failure("ended instead of becoming ready")
		}
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return p.failure(fmt.Sprintf("did not become ready (%v)", err))
		}
	}
}

// failure is an error about p with the end of its log.
func (p *process) failure(what string) error {
	tail := logTail(p.log)
	err := fmt.Errorf("%s %s; the end of %s:\n%s", p.name, what, p.log, tail)
	if strings.Contains(strings.ToLower(tail), "address already in use") {
		return fmt.Errorf("%w: %w", errPortTaken, err)
	}
	return err
}

// run runs a command to its end, within ctx, and returns what it printed on
// standard output. Its error output is part of the error, if there is one.
func run(ctx context.Context, command *exec.Cmd) (string, error) {
	var out, errOut bytes.Buffer
	command.Stdout, command.Stderr = &out, &errOut
	err := runBound(ctx, command)
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", commandName(command), err, tail(errOut.String()+out.String()))
	}
	return out.String(), err
}

// runLogged is run for commands that take long: the output goes to the file
// log, to be read while the command runs.
func runLogged(ctx context.Context, log string, command *exec.Cmd) error {
	file, err := os.Create(log)
	if err != nil {
		return err
	}
	defer file.Close()
	command.Stdout, command.Stderr = file, file
	if err := runBound(ctx, command); err != nil {
		return fmt.Errorf("%s: %w; the end of %s:\n%s", commandName(command), err, log, logTail(log))
	}
	return nil
}

// runBound runs a command to its end, or kills it at the end of ctx.
func runBound(ctx context.Context, command *exec.Cmd) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	command.WaitDelay = time.Second // for children that hold its output open
	c, err := launch(command)
	if err != nil {
		return err
	}
	select {
	case <-c.ended:
		return c.result
	case <-ctx.Done():
		_ = command.Process.Kill()
		<-c.ended
		return ctx.Err()
	}
}

// programName is the name of the program that a command runs, if need be in a
// namespace.
func programName(command *exec.Cmd) string {
	if i := slices.Index(command.Args, "--"); i >= 0 {
		return filepath.Base(command.Args[i+1])
	}
	return filepath.Base(command.Path)
}

// commandName is the program and first arguments of a command, for messages.
func commandName(command *exec.Cmd) string {
	args := append([]string{filepath.Base(command.Path)}, command.Args[1:]...)
	return strings.Join(args[:min(len(args), 4)], " ")
}

// logTail is the end of a log file.
func logTail(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > 1<<16 {
		_, _ = file.Seek(-1<<16, io.SeekEnd)
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return err.Error()
	}
	return tail(string(text))
}

// tail is the last lines of a text.
func tail(text string) string {
	const lines = 20
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
