package kube

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

func TestConnectFindsTheCluster(t *testing.T) {
	server := newServer(t)
	one, two := write(t, server.Kubeconfig("one")), write(t, server.Kubeconfig("two"))
	missing := filepath.Join(t.TempDir(), "missing")
	tests := map[string]struct {
		flag, variable, home string // kubeconfig files
		context              string
		namespace            string
		err                  string
	}{
		"by the flag":                         {flag: one, variable: two, namespace: "one"},
		"by KUBECONFIG":                       {variable: two, home: one, namespace: "two"},
		"by the first of several files":       {variable: one + string(filepath.ListSeparator) + two, namespace: "one"},
		"by the second, if the first is gone": {variable: missing + string(filepath.ListSeparator) + two, namespace: "two"},
		"in the home directory":               {home: one, namespace: "one"},
		"by a context without a namespace":    {flag: one, context: "bare", namespace: "default"},
		"by a context of no namespace":        {flag: write(t, server.Kubeconfig("One")), err: "the namespace of the context is not a valid name"},
		"by no context of that name":          {flag: one, context: "nosuch", err: "there is no context with that name"},
		"not where the flag says":             {flag: missing, variable: one, err: "no such file or directory"},
		"not where KUBECONFIG says":           {variable: missing, err: "no cluster is configured"},
		"nowhere":                             {err: "no cluster is configured"},
		"in a file that is not a kubeconfig":  {flag: write(t, "token: "+canary+"\n\t:"), err: "error loading config file"},
		"not where a secret was put instead":  {flag: "/" + canary, err: "no such file or directory"},
		"by the text of a kubeconfig":         {flag: "users: [{user: {token: " + canary + strings.Repeat("x", 300) + "}}]", err: "file name too long"},
		"by the text in KUBECONFIG":           {variable: "users [{user {token " + canary + strings.Repeat("x", 300) + "}}]", err: "file name too long"},
		"by a plugin that is not installed": {
			flag: write(t, withUser("exec: {apiVersion: client.authentication.k8s.io/v1, command: nosuch-login, interactiveMode: Never}")),
			err:  `the kubeconfig's exec plugin "nosuch-login" is not installed`,
		},
		"by an auth-provider": {
			flag: write(t, withUser("auth-provider: {name: oidc, config: {id-token: "+canary+"}}")),
			err:  "the kubeconfig's user has an auth-provider, which is not supported: use an exec plugin",
		},
		"by a key instead of its file": {
			flag: write(t, withUser("client-certificate-data: eA==, client-key: "+canary+strings.Repeat("x", 300))),
			err:  "the client-key in the kubeconfig: file name too long",
		},
		"by a certificate that is not there": {
			flag: write(t, withUser("client-certificate: /"+canary+", client-key-data: eA==")), err: "the client-certificate in the kubeconfig: no such file or directory",
		},
		"through a proxy of no kind": {
			flag: write(t, withCluster("server: https://127.0.0.1:1, proxy-url: 'ftp://u:"+canary+"@host'")), err: "the proxy-url of a cluster in the kubeconfig is not a URL that begins with",
		},
		"through a proxy that is none": {
			flag: write(t, withCluster("server: https://127.0.0.1:1, proxy-url: \"http://u:"+canary+"\\\"%zz@host\"")), err: "the proxy-url of a cluster in the kubeconfig is not a URL that begins with",
		},
		"at a server that is none": {
			flag: write(t, withCluster("server: 'https://u:"+canary+"%zz@host'")), err: "the server of a cluster in the kubeconfig is not a URL",
		},
		"without its CA": {
			flag: write(t, withCluster("server: https://127.0.0.1:1, certificate-authority: /"+canary)), err: "the certificate-authority in the kubeconfig: no such file or directory",
		},
		"by a token without its quotes": {
			flag: write(t, withUser("token: *"+canary)), err: "the kubeconfig is not YAML",
		},
		"by a plugin that is installed": {
			flag:      write(t, withUser("exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never}")),
			namespace: "default",
		},
		"in a file with a wrong type": {
			flag: write(t, "apiVersion: v1\nkind: Config\nusers: "+canary+"\n"), err: "error loading config file",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			nowhere(t)
			t.Setenv("KUBECONFIG", tc.variable)
			if tc.home != "" {
				clientcmd.RecommendedHomeFile = tc.home
			}
			client, err := Connect(tc.flag, tc.context, "nautobot-token/test")
			noCanary(t, err)
			switch {
			case tc.err != "":
				if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error is %v, want %q", err, tc.err)
				}
			case err != nil:
				t.Error(err)
			case client.Namespace != tc.namespace:
				t.Errorf("namespace is %q, want %q", client.Namespace, tc.namespace)
			}
		})
	}
	if requests := server.Requests(); len(requests) > 0 {
		t.Errorf("connecting sent %q, want no request", requests)
	}
}

// withUser is a kubeconfig whose user authenticates that way.
func withUser(how string) string { return kubeconfig(`server: "https://127.0.0.1:1"`, how) }

// withCluster is a kubeconfig whose cluster has these settings.
func withCluster(where string) string { return kubeconfig(where, "token: x") }

func kubeconfig(cluster, user string) string {
	return `apiVersion: v1
kind: Config
current-context: main
clusters: [{name: c, cluster: {` + cluster + `}}]
contexts: [{name: main, context: {cluster: c, user: u}}]
users: [{name: u, user: {` + user + "}}]\n"
}

// A Job's standard error is for our log, and not for anything that client-go has
// to say.
func TestClientGoIsQuiet(t *testing.T) {
	server := newServer(t)
	server.RefuseAll(http.StatusForbidden)
	file := write(t, server.Kubeconfig("one"))
	nowhere(t)
	got := stderrOf(t, func() {
		_, _ = Connect("", "", "")
		t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "missing"))
		_, _ = Connect("", "", "")
		t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "missing")+string(filepath.ListSeparator)+file)
		client, err := Connect("", "", "")
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = client.Secret(t.Context(), "openstack", "nautobot-token")
		_, _ = client.Secret(t.Context(), "openstack", "missing")
		_ = client.RecordEvent(t.Context(), provision.Secret{Namespace: "openstack", Name: "n"}, true, "Refused", "", now)
	})
	if got != "" {
		t.Errorf("standard error has %q, want nothing", got)
	}
	want := []string{
		"GET " + secretPath, "GET /api/v1/namespaces/openstack", "GET /api/v1/namespaces/openstack/secrets/missing", "GET /api/v1/namespaces/openstack",
		"POST /api/v1/namespaces/openstack/events",
	}
	if diff := cmp.Diff(want, server.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// stderrOf returns what act writes to the process's standard error.
func stderrOf(t *testing.T, act func()) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = write
	defer func() { os.Stderr = before }()
	act()
	_ = write.Close()
	text, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A plugin that asks for credentials forever, for example in a browser that nobody
// sees, ends with the run.
func TestPluginThatDoesNotEnd(t *testing.T) {
	nowhere(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := Connect(write(t, withUser("exec: {apiVersion: client.authentication.k8s.io/v1, command: cat, args: ["+fifo+"], interactiveMode: Never}")), "", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := client.Secret(ctx, "openstack", "nautobot-token")
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil || errors.Is(err, provision.ErrNoSecret) {
			t.Errorf("error is %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the plugin is waited for, after the run has ended")
	}
	end, err := os.OpenFile(fifo, os.O_WRONLY, 0) // the plugin is there, and ends with it
	if err != nil {
		t.Fatal(err)
	}
	_ = end.Close()
}

// An error whose text breaks off is temporary; only the beginning of an endless
// one is read. Neither shows in client-go's own log.
func TestErrorsThatAreNotWhole(t *testing.T) {
	server := newServer(t)
	server.Put("openstack/nautobot-token", map[string]string{"username": "svc"})
	client := connect(t, server)
	cut := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, canary)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	const most = 64 << 20
	var sent atomic.Int64
	endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		for sent.Load() < most {
			n, err := io.WriteString(w, strings.Repeat(canary, 1000))
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	quiet := stderrOf(t, func() {
		server.Intercept(func(_ *http.Request, n int) http.Handler {
			if n == 1 {
				return cut
			}
			return nil
		})
		if secret, err := client.Secret(t.Context(), "openstack", "nautobot-token"); err != nil || secret.Name != "nautobot-token" {
			t.Errorf("after an error that is cut short: %v", err)
		}
		server.Intercept(always(endless))
		_, err := client.Secret(t.Context(), "openstack", "nautobot-token")
		if err == nil || errors.Is(err, provision.ErrNoSecret) {
			t.Errorf("an endless 404: error is %v", err)
		}
		noCanary(t, err)
		server.Intercept(always(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"kind":"PodList"`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})))
		if _, err := List(t.Context(), client, Pods, Selection{}); err == nil {
			t.Error("a list that is cut short is taken")
		}
	})
	if quiet != "" {
		t.Errorf("standard error has %q, want nothing", quiet)
	}
	if n := sent.Load(); n >= most {
		t.Errorf("%d bytes of an error were read", n)
	}
}
