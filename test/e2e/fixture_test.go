//go:build e2e

package e2e

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
)

// A fixture is what one test has for itself: a namespace with the Secret and
// the superuser Secret, an account, a proxy, and the program's environment.
type fixture struct {
	nautobot  target
	proxy     *proxy
	namespace string
	name      string // of the Secret
	username  string
	password  string
	token     string
	env       map[string]string
	stdin     string
	dir       string            // in which the program runs; empty: some other
	secrets   map[string]string // what must never be shown, by what it is
}

// newFixture makes the namespace and the superuser Secret, not the Secret
// itself.
func newFixture(t *testing.T, nautobot target) *fixture {
	t.Helper()
	id := randomText()
	f := &fixture{
		nautobot:  nautobot,
		proxy:     newProxy(t, nautobot.URL, nil),
		namespace: "e2e-" + id,
		name:      "nautobot-token",
		username:  "svc-" + id,
		secrets: map[string]string{
			"superuser token":    nautobot.Token,
			"superuser password": nautobot.Password,
			"provisioner token":  nautobot.server.provisionerToken,
		},
	}
	f.password = f.newPassword("password")
	f.token = f.newToken("token")
	f.env = map[string]string{
		"HOME":                      t.TempDir(),
		"KUBECONFIG":                cluster.Kubeconfig,
		"NAUTOBOT_URL":              f.proxy.URL,
		"NAUTOBOT_SUPERUSER_SECRET": f.namespace + "/nautobot-superuser",
		"CLUSTER_NAME":              "e2e",
		"LOG_LEVEL":                 "debug", // the more is said, the more can leak
		"TIMEOUT":                   "1m",
	}
	f.apply(t, object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": f.namespace}})
	f.apply(t, secretObject(f.namespace, "nautobot-superuser", nil, map[string]string{"apitoken": nautobot.workToken}))
	return f
}

// another is a second Secret in the same namespace, for the same Nautobot,
// with an account of its own.
func (f *fixture) another() *fixture {
	g := *f
	id := randomText()
	g.name, g.username = f.name+"-"+id, "svc-"+id
	g.env = maps.Clone(f.env)
	g.password = f.newPassword("password of " + g.name)
	g.token = f.newToken("token of " + g.name)
	return &g
}

// newPassword makes a password of characters that have to be escaped
// somewhere.
func (f *fixture) newPassword(what string) string {
	f.secrets[what] = `pä:+%&"\'<$>` + randomText()
	return f.secrets[what]
}

func (f *fixture) newToken(what string) string {
	f.secrets[what] = (randomText() + randomText() + randomText() + randomText())[:40]
	return f.secrets[what]
}

// newHexToken makes a token as setup makes one.
func (f *fixture) newHexToken(what string) string {
	f.secrets[what] = fmt.Sprintf("%x", rand.Text())[:40]
	return f.secrets[what]
}

// randomText is 12 characters that are fine in any name.
func randomText() string { return strings.ToLower(rand.Text())[:12] }

type object map[string]any

// data is what the Secret holds for now.
func (f *fixture) data() map[string]string {
	return map[string]string{"username": f.username, "password": f.password, "token": f.token}
}

// saveSecret writes the Secret as a healthy one.
func (f *fixture) saveSecret(t *testing.T) {
	t.Helper()
	f.saveData(t, f.data())
}

// saveData writes the Secret with exactly that data.
func (f *fixture) saveData(t *testing.T, data map[string]string) {
	t.Helper()
	f.apply(t, secretObject(f.namespace, f.name, map[string]string{"token/type": "nautobot"}, data))
}

func secretObject(namespace, name string, labels, data map[string]string) object {
	bytes := map[string][]byte{} // encoded in base64
	for key, value := range data {
		bytes[key] = []byte(value)
	}
	return object{
		"apiVersion": "v1", "kind": "Secret", "data": bytes,
		"metadata": object{"namespace": namespace, "name": name, "labels": labels},
	}
}

// apply makes an object in the cluster, or updates it.
func (f *fixture) apply(t *testing.T, o object) {
	t.Helper()
	text, err := json.Marshal(o)
	if err == nil {
		err = cluster.Apply(t.Context(), text)
	}
	if err != nil {
		t.Fatal(f.redact(err.Error()))
	}
}

// user, token and the rest are the lines of a healthy run's output.
func (f *fixture) userLine(rest string) string { return "user/" + f.username + " " + rest }

func (f *fixture) tokenLine(rest string) string {
	return fmt.Sprintf("token/%s/%s %s", f.namespace, f.name, rest)
}
