//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestServiceAccountThatMayGetTwoSecrets(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		f.apply(t, object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"namespace": f.namespace, "name": "job"}})
		kubeconfig, err := cluster.ServiceAccountKubeconfig(t.Context(), f.namespace, "job")
		if err != nil {
			t.Fatal(err)
		}
		f.env["KUBECONFIG"] = kubeconfig

		forbidden := f.provision(t).want(t, 1).wantRequests(t, 0, 0, 0)
		forbidden.wantText(t, "forbidden", "Role", "secrets", f.name)
		f.allowGet(t, "job", f.name)
		f.wait(t, "the account's Secret can be read", func(r result) bool {
			return r.code == 1 && len(r.requests) == 0 && strings.Contains(r.stderr, "superuser token: read Secret")
		})
		f.allowGet(t, "job", f.name, "nautobot-superuser")
		f.wait(t, "both Secrets can be read", func(r result) bool { return r.code == 0 })

		f.provision(t).want(t, 0).wantStdout(t, f.userLine("created"), f.tokenLine("created"))
		f.wantAccount(t)
		f.wantUnchanged(t)
		// The namespace of the kubeconfig is the one that is meant.
		f.run(t, "provision", f.name).want(t, 0).wantRequests(t, 2, 0, 1)
		f.provision(t, "-n", "default").want(t, 1).wantText(t, "forbidden")
	})
}

// allowGet lets a service account get the named Secrets, and nothing else.
func (f *fixture) allowGet(t *testing.T, account string, secrets ...string) {
	t.Helper()
	const rbac = "rbac.authorization.k8s.io"
	metadata := object{"namespace": f.namespace, "name": account}
	f.apply(t, object{"apiVersion": rbac + "/v1", "kind": "Role", "metadata": metadata, "rules": []object{
		{"apiGroups": []string{""}, "resources": []string{"secrets"}, "resourceNames": secrets, "verbs": []string{"get"}},
	}})
	f.apply(t, object{
		"apiVersion": rbac + "/v1", "kind": "RoleBinding", "metadata": metadata,
		"roleRef":  object{"apiGroup": rbac, "kind": "Role", "name": account},
		"subjects": []object{{"kind": "ServiceAccount", "namespace": f.namespace, "name": account}},
	})
}

// wait makes dry runs until one is as it should be: RBAC learns of a role a
// moment after it is made.
func (f *fixture) wait(t *testing.T, what string, done func(result) bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); ; {
		r := f.provision(t, "--dry-run").wantNoWrite(t)
		if done(r) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still waiting until %s\n%s", what, r)
		}
	}
}

func TestCAFile(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		certificate, caFile := newCertificate(t)
		f.proxy = newProxy(t, nautobot.URL, &certificate)
		f.env["NAUTOBOT_URL"] = f.proxy.URL

		// No use to wait for a certificate to be signed by somebody else.
		f.provision(t).want(t, 1).wantWaiting(t, false).wantRequests(t, 0, 0, 0).
			wantText(t, "certificate signed by unknown authority", "--nautobot-ca-file")
		_, otherCA := newCertificate(t)
		f.provision(t, "--nautobot-ca-file="+otherCA).want(t, 1).wantRequests(t, 0, 0, 0).wantText(t, "certificate")
		f.provision(t, "--nautobot-ca-file="+caFile).want(t, 0)
		f.wantAccount(t)
		f.env["NAUTOBOT_CA_FILE"] = caFile
		f.wantUnchanged(t)

		// Plain http on a TLS port, and TLS on a plain port.
		f.env["NAUTOBOT_URL"] = "http://" + f.proxy.server.Listener.Addr().String()
		f.provision(t, "--timeout=4s").want(t, 1).wantRequests(t, 0, 0, 0)
		f.proxy = newProxy(t, nautobot.URL, nil)
		f.env["NAUTOBOT_URL"] = "https://" + f.proxy.server.Listener.Addr().String()
		f.provision(t, "--timeout=4s").want(t, 1).wantRequests(t, 0, 0, 0).wantText(t, "the server speaks plain http there")
	})
}

// newCertificate makes a CA and a certificate for 127.0.0.1 that it signed,
// and returns that and the path of the CA's own.
func newCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{{127, 0, 0, 1}},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}, file
}

// Refusals are in TestUsage. Here a name that is not loopback leads to our own
// proxy after all, as an HTTP proxy, so that nobody else is asked.
func TestInsecureHTTP(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		between := newProxy(t, nautobot.URL, nil) // never asked: it would see the token
		f.env["HTTP_PROXY"] = between.URL
		f.proxy = newProxyOn(t, outsideAddress(t), nautobot.URL, nil)
		f.env["NAUTOBOT_URL"] = f.proxy.URL
		f.provision(t).want(t, 2).wantRequests(t, 0, 0, 0).wantText(t, "--insecure-http")
		f.provision(t, "--insecure-http=false").want(t, 2).wantRequests(t, 0, 0, 0)
		f.provision(t, "--insecure-http").want(t, 0).wantStdout(t, f.userLine("created"), f.tokenLine("created"))
		f.env["NAUTOBOT_INSECURE_HTTP"] = "true"
		f.wantUnchanged(t)
		f.wantAccount(t)
		if n := len(between.requests()); n > 0 {
			t.Errorf("%d requests went through a proxy", n)
		}
	})
}

// outsideAddress is an address of this machine that is not one of loopback.
func outsideAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if address, ok := one.(*net.IPNet); ok && address.IP.To4() != nil && address.IP.IsGlobalUnicast() {
			return address.IP.String()
		}
	}
	t.Fatal("this machine has no address except loopback")
	return ""
}

// Credentials go where they were sent to, and nowhere else.
func TestNoRedirectIsFollowed(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		elsewhere := newProxy(t, nautobot.URL, nil)
		away := redirect(elsewhere.URL)

		f.proxy.spoilAll(away)
		f.provision(t, "--timeout=10s").want(t, 1).wantRequests(t, 1, 0, 0).wantText(t, "redirect", "--nautobot-url")
		f.proxy.spoil(nil)
		creation := len(f.another().provisionNew(t).requests)
		for n := 1; n <= creation; n++ {
			g := f.another()
			g.saveSecret(t)
			f.proxy.spoil(func(i int, _ *http.Request) fate {
				if i == n {
					return away
				}
				return nil
			})
			if r := g.provision(t).want(t, 1); len(r.requests) != n {
				t.Errorf("%d requests, want none after the redirect of number %d\n%s", len(r.requests), n, r)
			}
			f.proxy.spoil(nil)
			g.provision(t).want(t, 0)
			g.wantAccount(t)
		}
		if seen := elsewhere.requests(); len(seen) > 0 {
			t.Errorf("redirects were followed: %+v", seen)
		}
	})
}

// writeKubeconfig writes one for an API server that is not there.
func (f *fixture) writeKubeconfig(t *testing.T, server string) string {
	t.Helper()
	text, err := json.Marshal(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": []object{{"name": "x", "cluster": object{"server": server}}},
		"contexts": []object{{"name": "x", "context": object{"cluster": "x", "user": "x"}}},
		"users":    []object{{"name": "x", "user": object{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
