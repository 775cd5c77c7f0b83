//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// Every mistake in flags and environment names what to change, flag and
// variable, and nothing is asked of anybody.
func TestUsage(t *testing.T) {
	f := newFixture(t, nautobots[0].as(provisioner))
	f.saveSecret(t)
	noCertificate := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(noCertificate, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	const inURL = "in-the-url-by-mistake"
	f.secrets["password in the URL"] = inURL

	const (
		url     = "--nautobot-url (NAUTOBOT_URL)"
		timeout = "--timeout (TIMEOUT)"
		grace   = "--rotation-grace (ROTATION_GRACE)"
		secret  = "--superuser-secret (NAUTOBOT_SUPERUSER_SECRET)"
	)
	name := []string{f.name, "-n", f.namespace}
	type env = map[string]string
	for _, c := range []struct {
		name string
		args []string // after "provision"; nil: a good NAME and namespace
		more []string // after those
		env  env
		says []string
	}{
		{name: "no NAME", args: []string{"-n", f.namespace}, says: []string{"NAME", "--filename"}},
		{name: "two NAMEs", args: []string{"a", "b", "-n", f.namespace}, says: []string{"NAME"}},
		{name: "NAME and file", more: []string{"-f", "-"}, says: []string{"NAME", "--filename"}},
		{name: "NAME in upper case", args: []string{"Name", "-n", f.namespace}, says: []string{"NAME"}},
		{name: "NAME with a path", args: []string{"../x", "-n", f.namespace}, says: []string{"NAME"}},
		{name: "NAME with a command", args: []string{"x;reboot", "-n", f.namespace}, says: []string{"NAME"}},
		{name: "NAME with a substitution", args: []string{"$(reboot)", "-n", f.namespace}, says: []string{"NAME"}},
		{name: "namespace", args: []string{f.name, "-n", "a/b"}, says: []string{"--namespace"}},
		{name: "no such file", args: []string{"-f", "/not/there.yaml"}, says: []string{"--filename"}},
		{name: "unknown flag", more: []string{"--no-such-flag"}, says: []string{"--no-such-flag"}},
		{name: "token as a flag", more: []string{"--nautobot-token=x"}, says: []string{"--nautobot-token"}},
		{name: "output", more: []string{"-o", "yaml"}, says: []string{"--output", "text or json"}},
		{name: "detailed-exitcode alone", more: []string{"--detailed-exitcode"}, says: []string{"--detailed-exitcode", "--dry-run"}},
		{name: "dry-run", more: []string{"--dry-run=maybe"}, says: []string{"--dry-run"}},

		{name: "no URL", env: env{"NAUTOBOT_URL": ""}, says: []string{url, "required"}},
		{name: "URL without scheme", env: env{"NAUTOBOT_URL": "nautobot.example.com"}, says: []string{url}},
		{name: "URL of another scheme", more: []string{"--nautobot-url=ftp://nautobot.example.com"}, says: []string{url}},
		{name: "URL without host", env: env{"NAUTOBOT_URL": "https:///api"}, says: []string{url}},
		{name: "URL with a password", env: env{"NAUTOBOT_URL": "https://admin:" + inURL + "@nautobot.example.com"}, says: []string{url}},
		{name: "URL with a query", env: env{"NAUTOBOT_URL": "https://nautobot.example.com/?token=" + inURL}, says: []string{url}},
		{name: "plain http", env: env{"NAUTOBOT_URL": "http://nautobot.example.com"}, says: []string{url, "--insecure-http (NAUTOBOT_INSECURE_HTTP)"}},
		{name: "plain http to an address", more: []string{"--nautobot-url=http://192.0.2.1:8080"}, says: []string{url, "--insecure-http (NAUTOBOT_INSECURE_HTTP)"}},
		{name: "insecure-http", env: env{"NAUTOBOT_INSECURE_HTTP": "maybe"}, says: []string{"--insecure-http (NAUTOBOT_INSECURE_HTTP)"}},
		{name: "CA file not there", env: env{"NAUTOBOT_CA_FILE": "/not/there.crt"}, says: []string{"--nautobot-ca-file (NAUTOBOT_CA_FILE)", "no such file"}},
		{name: "CA file without certificate", more: []string{"--nautobot-ca-file=" + noCertificate}, says: []string{"--nautobot-ca-file (NAUTOBOT_CA_FILE)"}},
		{name: "hostname", env: env{"NAUTOBOT_HOSTNAMES": "a.example.com,https://b.example.com/"}, says: []string{"--nautobot-hostname (NAUTOBOT_HOSTNAMES)"}},

		{name: "superuser Secret", env: env{"NAUTOBOT_SUPERUSER_SECRET": "nautobot-superuser"}, says: []string{secret}},
		{name: "superuser Secret with a path", more: []string{"--superuser-secret=a/b/c"}, says: []string{secret}},
		{name: "token and file", env: env{"NAUTOBOT_TOKEN": f.nautobot.Token, "NAUTOBOT_TOKEN_FILE": "/some/file"}, says: []string{"NAUTOBOT_TOKEN", "NAUTOBOT_TOKEN_FILE"}},
		{name: "token file not there", env: env{"NAUTOBOT_TOKEN_FILE": "/not/there"}, says: []string{"NAUTOBOT_TOKEN_FILE", "no such file"}},
		{name: "token with a blank", env: env{"NAUTOBOT_TOKEN": "Token " + f.nautobot.Token}, says: []string{"NAUTOBOT_TOKEN"}},
		{name: "cluster", env: env{"CLUSTER_NAME": "Not a name"}, says: []string{"--cluster (CLUSTER_NAME)"}},

		{name: "policy not there", env: env{"NAUTOBOT_TOKEN_POLICY": "/not/there.yaml"}, says: []string{"--policy (NAUTOBOT_TOKEN_POLICY)", "no such file"}},
		{name: "policy and a flag in its place", more: []string{"--policy=/not/there.yaml", "--adopt"}, says: []string{"--adopt", "--policy (NAUTOBOT_TOKEN_POLICY)"}},
		{name: "group without name", more: []string{"--group="}, says: []string{"--group"}},

		{name: "grace without unit", env: env{"ROTATION_GRACE": "60"}, says: []string{grace}},
		{name: "grace below 0", more: []string{"--rotation-grace=-1h"}, says: []string{grace}},
		{name: "time-out without unit", env: env{"TIMEOUT": "soon"}, says: []string{timeout}},
		{name: "time-out 0", more: []string{"--timeout=0"}, says: []string{timeout}},
		{name: "log format", env: env{"LOG_FORMAT": "xml"}, says: []string{"--log-format (LOG_FORMAT)"}},
		{name: "log level", env: env{"LOG_LEVEL": "loud"}, says: []string{"--log-level (LOG_LEVEL)"}},
		{name: "kubeconfig not there", more: []string{"--kubeconfig=/not/there"}, says: []string{"--kubeconfig (KUBECONFIG)", "no such file"}},
		{name: "no cluster", env: env{"KUBECONFIG": ""}, says: []string{"--kubeconfig (KUBECONFIG)", "no cluster"}},
		{name: "context", more: []string{"--context=elsewhere"}, says: []string{"--context", "there is no context with that name"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := f.another()
			for variable, value := range c.env {
				g.env[variable] = value
			}
			args := c.args
			if args == nil {
				args = name
			}
			args = append(append([]string{"provision"}, args...), c.more...)
			r := g.run(t, args...).want(t, 2).wantText(t, c.says...).wantRequests(t, 0, 0, 0)
			if r.stdout != "" {
				t.Errorf("standard output is not empty\n%s", r)
			}
		})
	}

	t.Run("unknown command", func(t *testing.T) {
		f.run(t, "provide").want(t, 2).wantText(t, `"provide"`)
	})
	t.Run("version with an argument", func(t *testing.T) {
		f.run(t, "version", "x").want(t, 2).wantText(t, "version")
	})
	t.Run("help", func(t *testing.T) {
		f.run(t, "provision", "--help").want(t, 0).wantText(t, "NAUTOBOT_URL", "--rotation-grace", "1h")
	})
	t.Run("a flag wins over its variable, which may be empty", func(t *testing.T) {
		g := f.another()
		g.saveSecret(t)
		g.env["TIMEOUT"], g.env["ROTATION_GRACE"], g.env["NAUTOBOT_HOSTNAMES"], g.env["CLUSTER_NAME"] = "soon", "", "", ""
		g.provision(t, "--timeout=1m").want(t, 0)
	})
}
