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
	info, err := os.Stat(p.nautobotToken)
	if err != nil {
		return p, err
	}
	p.size = info.Size()
	return p, nil
}

// creation measures how new accounts are made.
func (s *stage) creation(ctx context.Context, p programs, runs int) (program, floor []measurement, sent []replay.Request, err error) {
	// The very first also makes the managed group.
	warm := newAccount()
	if err := s.applyAccount(ctx, warm); err != nil {
		return nil, nil, nil, err
	}
	if _, err := s.runProgram(ctx, p, warm, s.nautobot, s.kubeconfig); err != nil {
		return nil, nil, nil, err
	}
	of := newAccount()
	if err := s.applyAccount(ctx, of); err != nil {
		return nil, nil, nil, err
	}
	if sent, err = s.record(ctx, p, of); err != nil {
		return nil, nil, nil, err
	}
	for range runs {
		a, b := newAccount(), newAccount()
		if err := s.applyAccount(ctx, a); err != nil {
			return nil, nil, nil, err
		}
		if err := s.applyAccount(ctx, b); err != nil {
			return nil, nil, nil, err
		}
		if program, floor, err = s.both(ctx, p, a, s.script(sent, of, b), program, floor); err != nil {
			return nil, nil, nil, err
		}
	}
	return program, floor, sent, nil
}

// rerun measures a run that finds everything as it should be.
func (s *stage) rerun(ctx context.Context, p programs, runs int) (program, floor []measurement, sent []replay.Request, err error) {
	a := newAccount()
	if err := s.applyAccount(ctx, a); err != nil {
		return nil, nil, nil, err
	}
	if _, err := s.runProgram(ctx, p, a, s.nautobot, s.kubeconfig); err != nil {
		return nil, nil, nil, err
	}
	if sent, err = s.record(ctx, p, a); err != nil {
		return nil, nil, nil, err
	}
	for range runs {
		if program, floor, err = s.both(ctx, p, a, s.script(sent, a, a), program, floor); err != nil {
			return nil, nil, nil, err
		}
	}
	return program, floor, sent, nil
}

// both runs the program on an account, and then the floor.
func (s *stage) both(ctx context.Context, p programs, a account, script replay.Script, program, floor []measurement) ([]measurement, []measurement, error) {
	one, err := s.runProgram(ctx, p, a, s.nautobot, s.kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	other, err := s.runFloor(ctx, p, script)
	return append(program, one), append(floor, other), err
}

func (s *stage) runProgram(ctx context.Context, p programs, a account, nautobot, kubeconfig string) (measurement, error) {
	m, out, err := measured(ctx, p, []string{
		"HOME=" + s.dir, "KUBECONFIG=" + kubeconfig, "NAUTOBOT_URL=" + nautobot,
		"NAUTOBOT_SUPERUSER_SECRET=" + namespace + "/superuser",
	}, nil, p.nautobotToken, "provision", a.secret, "-n", namespace)
	if err != nil {
		err = fmt.Errorf("nautobot-token: %w\n%s", err, out)
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
	out, err = command.CombinedOutput()
	_ = writer.Close()
	if err != nil {
		return m, out, err
	}
	var wall, cpu int64
	if _, err := fmt.Fscan(reader, &wall, &cpu, &m.memory); err != nil {
		return m, out, fmt.Errorf("read the measurement: %w", err)
	}
	m.wall, m.cpu = time.Duration(wall), time.Duration(cpu)
	return m, out, nil
}

// record runs the program once behind proxies and returns what it sent.
func (s *stage) record(ctx context.Context, p programs, a account) ([]replay.Request, error) {
	transport, err := s.kubernetesTransport()
	if err != nil {
		return nil, err
	}
	var r recorder
	toNautobot, err := r.before(s.nautobot, &http.Transport{DisableKeepAlives: true}, false)
	if err != nil {
		return nil, err
	}
	defer toNautobot.Close()
	toKubernetes, err := r.before(s.kubernetes, transport, true)
	if err != nil {
		return nil, err
	}
	defer toKubernetes.Close()
	kubeconfig, err := s.writeKubeconfig("recorder", toKubernetes.URL)
	if err != nil {
		return nil, err
	}
	_, err = s.runProgram(ctx, p, a, toNautobot.URL, kubeconfig)
	return r.requests, err
}

// A recorder is the requests that came through its proxies, in their order.
// Their URLs have no host.
type recorder struct {
	mu       sync.Mutex
	requests []replay.Request
}

// before starts a proxy that stands before a server.
func (r *recorder) before(server string, transport http.RoundTripper, kubernetes bool) (*httptest.Server, error) {
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
			ToKubernetes: kubernetes, Method: req.Method, URL: req.URL.RequestURI(),
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
