package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/test/bench/replay"
)

// programs are what is built: the one to measure, the floor, and the one that
// measures.
type programs struct {
	nautobotToken, floor, measure string
	bash                          string
	size                          int64 // of the first
}

// build builds all with the flags of `make build`.
func build(ctx context.Context, dir string) (programs, error) {
	const module = "github.com/rackerlabs/understack/go/nautobot-token"
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", dir,
		module, module+"/test/bench/floor", module+"/test/bench/measure")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return programs{}, fmt.Errorf("go build: %w\n%s", err, out)
	}
	p := programs{nautobotToken: filepath.Join(dir, "nautobot-token"), floor: filepath.Join(dir, "floor"), measure: filepath.Join(dir, "measure")}
	var err error
	for _, tool := range []string{"curl", "jq", "bash"} {
		if p.bash, err = exec.LookPath(tool); err != nil {
			return p, fmt.Errorf("the script needs bash, curl and jq: %w", err)
		}
	}
	info, err := os.Stat(p.nautobotToken)
	if err != nil {
		return p, err
	}
	p.size = info.Size()
	return p, nil
}

// programNames are who is measured on one Secret.
const (
	ourProgram = "nautobot-token"
	bareLoop   = "bare loop"
	bashScript = "bash script"
)

// creation measures how new accounts are made.
func (s *stage) creation(ctx context.Context, p programs, r *results, runs int) error {
	// The very first also makes the managed group.
	warm, err := s.account(ctx)
	if err != nil {
		return err
	}
	if _, err := s.provision(ctx, p, s.at(), warm); err != nil {
		return err
	}
	of, err := s.account(ctx)
	if err != nil {
		return err
	}
	return s.inTurn(ctx, p, r, runs, "first creation", of, s.account, s.account)
}

// rerun measures runs that find everything as it should be.
func (s *stage) rerun(ctx context.Context, p programs, r *results, runs int) error {
	a, err := s.account(ctx)
	if err != nil {
		return err
	}
	if _, err := s.provision(ctx, p, s.at(), a); err != nil {
		return err
	}
	same := func(a account) func(context.Context) (account, error) {
		return func(context.Context) (account, error) { return a, nil }
	}
	b := newAccount() // the script makes it a superuser, which the program would undo
	if s.real {
		if _, err := s.runScript(ctx, p, s.at(), b); err != nil {
			return err
		}
	}
	return s.inTurn(ctx, p, r, runs, "healthy rerun", a, same(a), same(b))
}

// account makes a Secret for a new one.
func (s *stage) account(ctx context.Context) (account, error) {
	a := newAccount()
	return a, s.applyAccount(ctx, a)
}

// inTurn records what the program sends for an account, and then measures the
// program, the bare loop and, on a real server, the script, each on its next.
func (s *stage) inTurn(ctx context.Context, p programs, r *results, runs int, name string, of account,
	next, nextOfScript func(context.Context) (account, error),
) error {
	name = s.name + ", " + name
	sent, err := s.record(func(at address) error {
		_, err := s.provision(ctx, p, at, of)
		return err
	})
	if err != nil {
		return err
	}
	var ours, bare, scripted []measurement
	for range runs {
		a, err := next(ctx)
		if err != nil {
			return err
		}
		m, err := s.provision(ctx, p, s.at(), a)
		if err != nil {
			return err
		}
		ours = append(ours, m)
		if a, err = next(ctx); err != nil {
			return err
		}
		if m, err = s.runFloor(ctx, p, s.script(sent, of, a)); err != nil {
			return err
		}
		bare = append(bare, m)
		if s.real {
			if a, err = nextOfScript(ctx); err != nil {
				return err
			}
			if m, err = s.runScript(ctx, p, s.at(), a); err != nil {
				return err
			}
			scripted = append(scripted, m)
		}
	}
	program, floor := newFigure(name, ourProgram, 1, sent, ours), newFigure(name, bareLoop, 1, sent, bare)
	r.add(program)
	r.add(floor)
	r.atMost(name, "wall, times the bare loop's", program.Wall.Median/floor.Wall.Median, wallBudget)
	r.atMost(name, "CPU, times the bare loop's", program.CPU.Median/floor.CPU.Median, cpuBudget)
	r.atMost(name, "memory, times the bare loop's", program.Memory.Median/floor.Memory.Median, memoryBudget)
	if !s.real {
		return nil
	}
	a, err := nextOfScript(ctx)
	if err != nil {
		return err
	}
	sent, err = s.record(func(at address) error {
		_, err := s.runScript(ctx, p, at, a)
		return err
	})
	r.add(newFigure(name, bashScript, 1, sent, scripted))
	return err
}

// An address is how to reach the servers.
type address struct {
	nautobot   string // URL
	kubeconfig string // path
	ca         string // path; empty: the system's
}

func (s *stage) at() address { return address{s.nautobot, s.kubeconfig, ""} }

func (s *stage) provision(ctx context.Context, p programs, at address, a account) (measurement, error) {
	m, _, err := s.runProgram(ctx, p, at, "provision", a.secret, "-n", namespace)
	return m, err
}

func (s *stage) runProgram(ctx context.Context, p programs, at address, args ...string) (measurement, []byte, error) {
	m, out, err := measured(ctx, p, []string{
		"HOME=" + s.dir, "KUBECONFIG=" + at.kubeconfig, "NAUTOBOT_URL=" + at.nautobot, "NAUTOBOT_CA_FILE=" + at.ca,
	}, nil, append([]string{p.nautobotToken}, args...)...)
	if err != nil {
		err = fmt.Errorf("nautobot-token: %w\n%s", err, out)
	}
	return m, out, err
}

// runScript runs the script, with the Secret in files as a Pod would have it.
func (s *stage) runScript(ctx context.Context, p programs, at address, a account) (measurement, error) {
	dir, err := os.MkdirTemp(s.dir, "secret-")
	if err != nil {
		return measurement{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for key, value := range a.data() {
		if err := os.WriteFile(filepath.Join(dir, key), []byte(value), 0o600); err != nil {
			return measurement{}, err
		}
	}
	m, out, err := measured(ctx, p, []string{
		"PATH=" + os.Getenv("PATH"), "NAUTOBOT_URL=" + at.nautobot, "NAUTOBOT_TOKEN=" + s.token, "SECRET=" + dir,
	}, nil, p.bash, filepath.Join("test", "bench", "script.sh"))
	if err != nil {
		err = fmt.Errorf("script: %w\n%s", err, out)
	}
	return m, err
}

func (s *stage) runFloor(ctx context.Context, p programs, script replay.Script) (measurement, error) {
	text, err := json.Marshal(script)
	if err != nil {
		return measurement{}, err
	}
	m, out, err := measured(ctx, p, nil, text, p.floor)
	if err != nil {
		err = fmt.Errorf("floor: %w\n%s", err, out)
	}
	return m, err
}

// measured runs a program by way of measure.
func measured(ctx context.Context, p programs, env []string, stdin []byte, args ...string) (m measurement, out []byte, err error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return m, nil, err
	}
	defer func() { _ = reader.Close() }()
	command := exec.CommandContext(ctx, p.measure, args...)
	command.Env = env
	command.Stdin = bytes.NewReader(stdin)
	command.ExtraFiles = []*os.File{writer}
	before, err := serverCPU()
	if err != nil {
		return m, nil, err
	}
	out, err = command.CombinedOutput()
	_ = writer.Close()
	if err != nil {
		return m, out, err
	}
	after, err := serverCPU()
	if err != nil {
		return m, out, err
	}
	m.server = after - before
	var wall, cpu int64
	if _, err := fmt.Fscan(reader, &wall, &cpu, &m.memory); err != nil {
		return m, out, fmt.Errorf("read the measurement: %w", err)
	}
	m.wall, m.cpu = time.Duration(wall), time.Duration(cpu)
	return m, out, nil
}

// record has something run behind proxies and returns what it sent.
func (s *stage) record(run func(address) error) (requests, error) {
	transport, err := s.kubernetesTransport()
	if err != nil {
		return nil, err
	}
	var r recorder
	toNautobot, err := r.before(s.nautobot, &http.Transport{DisableKeepAlives: true}, "")
	if err != nil {
		return nil, err
	}
	defer toNautobot.Close()
	toKubernetes, err := r.before(s.kubernetes, transport, s.bearer)
	if err != nil {
		return nil, err
	}
	defer toKubernetes.Close()
	kubeconfig, err := s.writeKubeconfig("recorder", toKubernetes.URL)
	if err != nil {
		return nil, err
	}
	err = run(address{toNautobot.URL, kubeconfig, ""})
	return r.requests, err
}

// A recorder is the requests that came through its proxies, in their order.
// Their URLs have no host.
type recorder struct {
	mu       sync.Mutex
	requests requests
}

// before starts a proxy before a server. If there is a token for Kubernetes, it
// adds that: client-go does not send one over plain http.
func (r *recorder) before(server string, transport http.RoundTripper, bearer string) (*httptest.Server, error) {
	to, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(to) },
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		if bearer != "" {
			req.Header.Set("Authorization", "Bearer "+bearer)
		}
		header := http.Header{}
		for _, name := range []string{"Accept", "Authorization", "Content-Type", "User-Agent"} {
			if values := req.Header.Values(name); len(values) > 0 {
				header[name] = values
			}
		}
		status := &statusWriter{ResponseWriter: w}
		proxy.ServeHTTP(status, req)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests = append(r.requests, replay.Request{
			ToKubernetes: !strings.HasPrefix(req.URL.Path, "/api/users/"), Method: req.Method, URL: req.URL.RequestURI(),
			Header: header, Body: strings.Clone(string(body)), Status: status.code,
		})
	})), nil
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (s *statusWriter) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}
