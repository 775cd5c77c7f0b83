package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"sigs.k8s.io/yaml"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/test/bench/replay"
	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

const namespace = "bench"

// A stage is a Nautobot and a Kubernetes API, and how to reach them.
type stage struct {
	name       string
	nautobot   string // URL
	token      string // of the superuser
	kubeconfig string // path
	kubernetes string // URL
	dir        string
	ca         []byte // of the Kubernetes API, in PEM, as the rest
	cert, key  []byte
	apply      func(ctx context.Context, manifest []byte) error
	stop       func()
}

func startStub(ctx context.Context, dir string) (*stage, error) {
	nautobot := nautobottest.New(nautobottest.Options{})
	kubernetes := &kubernetesStub{objects: map[string]json.RawMessage{}}
	server := httptest.NewServer(kubernetes)
	s := &stage{
		name: "local stub", nautobot: nautobot.URL, token: nautobot.Token, dir: dir, kubernetes: server.URL,
		apply: kubernetes.apply, stop: func() { nautobot.Close(); server.Close() },
	}
	var err error
	if s.kubeconfig, err = s.writeKubeconfig("stub", server.URL); err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func startReal(ctx context.Context, dir, version string) (*stage, error) {
	cluster, err := servers.StartControlPlane(ctx)
	if err != nil {
		return nil, err
	}
	nautobot, err := servers.StartNautobot(ctx, version)
	if err != nil {
		cluster.Stop()
		return nil, err
	}
	s := &stage{
		name: "Nautobot " + version, nautobot: nautobot.URL, token: nautobot.Token, dir: dir,
		kubeconfig: cluster.Kubeconfig, kubernetes: cluster.URL,
		apply: cluster.Apply, stop: func() { nautobot.Stop(); cluster.Stop() },
	}
	if err = s.readKubeconfig(); err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// prepare makes the namespace and the superuser Secret.
func (s *stage) prepare(ctx context.Context) error {
	err := s.apply(ctx, []byte(`{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "`+namespace+`"}}`))
	if err != nil {
		return err
	}
	return s.applySecret(ctx, "superuser", map[string]string{"apitoken": s.token})
}

func (s *stage) applySecret(ctx context.Context, name string, data map[string]string) error {
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "stringData": data,
		"metadata": map[string]any{"namespace": namespace, "name": name, "labels": map[string]string{"token/type": "nautobot"}},
	})
	if err != nil {
		return err
	}
	return s.apply(ctx, text)
}

// readKubeconfig takes the credentials out of a kubeconfig.
func (s *stage) readKubeconfig() error {
	text, err := os.ReadFile(s.kubeconfig)
	if err != nil {
		return err
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				CA []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Certificate []byte `json:"client-certificate-data"`
				Key         []byte `json:"client-key-data"`
			}
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return err
	}
	if len(config.Clusters) != 1 || len(config.Users) != 1 {
		return errors.New("the kubeconfig has not one cluster and one user")
	}
	s.ca = config.Clusters[0].Cluster.CA
	s.cert, s.key = config.Users[0].User.Certificate, config.Users[0].User.Key
	return nil
}

// writeKubeconfig writes one without credentials.
func (s *stage) writeKubeconfig(name, url string) (string, error) {
	file := filepath.Join(s.dir, name+".kubeconfig")
	text := `{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": [{"name": "x", "cluster": {"server": "` + url + `"}}],
		"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
		"users": [{"name": "x", "user": {}}]}`
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// kubernetesTransport reaches the Kubernetes API with the credentials.
func (s *stage) kubernetesTransport() (http.RoundTripper, error) {
	if s.ca == nil {
		return http.DefaultTransport, nil
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.ca)
	pair, err := tls.X509KeyPair(s.cert, s.key)
	if err != nil {
		return nil, err
	}
	return &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: []tls.Certificate{pair},
	}}, nil
}

// kubernetesStub keeps the Secrets that it is given, and takes Events.
type kubernetesStub struct {
	mu      sync.Mutex
	objects map[string]json.RawMessage // by name
}

func (k *kubernetesStub) apply(_ context.Context, manifest []byte) error {
	var secret map[string]any
	if err := json.Unmarshal(manifest, &secret); err != nil {
		return err
	}
	metadata, _ := secret["metadata"].(map[string]any)
	metadata["resourceVersion"], metadata["uid"] = "1", "00000000-0000-4000-8000-000000000000"
	data := map[string][]byte{}
	stringData, _ := secret["stringData"].(map[string]any)
	for key, value := range stringData {
		data[key] = fmt.Append(nil, value)
	}
	secret["data"] = data
	delete(secret, "stringData")
	text, err := json.Marshal(secret)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.objects[fmt.Sprint(metadata["name"])] = text
	return nil
}

func (k *kubernetesStub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"kind": "Event", "apiVersion": "v1"}`))
		return
	}
	k.mu.Lock()
	text, ok := k.objects[filepath.Base(r.URL.Path)]
	k.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		text = []byte(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`)
	}
	_, _ = w.Write(text)
}

// An account is what one Secret asks for.
type account struct{ secret, username, password, token string }

func newAccount() account {
	text := func() string { return strings.ToLower(rand.Text()) }
	return account{"account-" + text(), "user-" + text(), "password-" + text(), (text() + text())[:40]}
}

func (s *stage) applyAccount(ctx context.Context, a account) error {
	return s.applySecret(ctx, a.secret, map[string]string{"username": a.username, "password": a.password, "token": a.token})
}

func (a account) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.username+":"+a.password))
}

// script is the requests that were recorded for another account.
func (s *stage) script(recorded []replay.Request, of, is account) replay.Script {
	replace := strings.NewReplacer(of.secret, is.secret, of.username, is.username, of.password, is.password,
		of.token, is.token, of.basic(), is.basic())
	script := replay.Script{CA: s.ca, Certificate: s.cert, Key: s.key}
	for _, r := range recorded {
		header := r.Header.Clone()
		if credentials := header.Get("Authorization"); credentials != "" {
			header.Set("Authorization", replace.Replace(credentials))
		}
		to := s.nautobot
		if r.ToKubernetes {
			to = s.kubernetes
		}
		r.URL, r.Header, r.Body = to+replace.Replace(r.URL), header, replace.Replace(r.Body)
		script.Requests = append(script.Requests, r)
	}
	return script
}
