package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/rackerlabs/understack/go/nautobot-token/kube/kubetest"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/test/bench/replay"
	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

const namespace = "bench"

// A stage is a Nautobot and a Kubernetes API, and how to reach them.
type stage struct {
	name       string
	real       bool
	nautobot   string // URL
	token      string // of the superuser
	kubeconfig string // path
	kubernetes string // URL
	dir        string
	ca         []byte // of the Kubernetes API, in PEM, as the rest
	cert, key  []byte // empty: there is a token
	bearer     string
	putSecret  func(ctx context.Context, path string, data map[string]string) error
	stop       func()
}

func startFake(ctx context.Context, dir string) (*stage, error) {
	nautobot := nautobottest.New(nautobottest.Options{})
	kubernetes := kubetest.New()
	s := &stage{
		name: "fake Nautobot", nautobot: nautobot.URL, token: nautobot.Token, dir: dir,
		kubernetes: kubernetes.URL, kubeconfig: filepath.Join(dir, "fake.kubeconfig"),
		putSecret: func(_ context.Context, path string, data map[string]string) error {
			kubernetes.Put(path, data)
			return nil
		},
		stop: func() { nautobot.Close(); kubernetes.Close() },
	}
	err := os.WriteFile(s.kubeconfig, []byte(kubernetes.Kubeconfig(namespace)), 0o600)
	if err == nil {
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
		name: "Nautobot " + version, real: true, nautobot: nautobot.URL, token: nautobot.Token, dir: dir,
		kubeconfig: cluster.Kubeconfig, kubernetes: cluster.URL,
		putSecret: func(ctx context.Context, path string, data map[string]string) error {
			return putSecret(ctx, cluster, path, data)
		},
		stop: func() { nautobot.Stop(); cluster.Stop() },
	}
	if err = s.prepare(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// putSecret makes a Secret and its namespace.
func putSecret(ctx context.Context, cluster *servers.ControlPlane, path string, data map[string]string) error {
	namespace, name, _ := strings.Cut(path, "/")
	for _, object := range []map[string]any{
		{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}},
		{
			"apiVersion": "v1", "kind": "Secret", "stringData": data,
			"metadata": map[string]any{"namespace": namespace, "name": name, "labels": map[string]string{"token/type": "nautobot"}},
		},
	} {
		text, err := json.Marshal(object)
		if err != nil {
			return err
		}
		if err := cluster.Apply(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the superuser Secret, where the program looks for it.
func (s *stage) prepare(ctx context.Context) error {
	if err := s.readKubeconfig(); err != nil {
		return err
	}
	return s.putSecret(ctx, "nautobot/nautobot-superuser", map[string]string{"apitoken": s.token})
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
				Token       string
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
	user := config.Users[0].User
	s.cert, s.key, s.bearer = user.Certificate, user.Key, user.Token
	return nil
}

// writeKubeconfig writes one without credentials, for a proxy that has them.
func (s *stage) writeKubeconfig(name, url string) (string, error) {
	file := filepath.Join(s.dir, name+".kubeconfig")
	text := `{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": [{"name": "x", "cluster": {"server": "` + url + `"}}],
		"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
		"users": [{"name": "x", "user": {}}]}`
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// kubernetesTransport reaches the Kubernetes API as the kubeconfig says.
func (s *stage) kubernetesTransport() (*http.Transport, error) {
	config, err := replay.Script{CA: s.ca, Certificate: s.cert, Key: s.key}.TLS()
	return &http.Transport{TLSClientConfig: config}, err
}

// An account is what one Secret asks for.
type account struct{ secret, username, password, token string }

func newAccount() account {
	text := func() string { return strings.ToLower(rand.Text()) }
	return account{"account-" + text(), "user-" + text(), "password-" + text(), (text() + text())[:40]}
}

func (s *stage) applyAccount(ctx context.Context, a account) error {
	return s.putSecret(ctx, namespace+"/"+a.secret, a.data())
}

func (a account) data() map[string]string {
	return map[string]string{"username": a.username, "password": a.password, "token": a.token}
}

func (a account) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.username+":"+a.password))
}

// script is the requests that were recorded for another account.
func (s *stage) script(recorded requests, of, is account) replay.Script {
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
