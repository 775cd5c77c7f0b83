package cmd

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// read parses a command line of provision into settings.
func read(t *testing.T, args ...string) (*settings, error) {
	t.Helper()
	var given options
	cmd := &cobra.Command{}
	given.addProvisionFlags(cmd)
	if err := cmd.Flags().Parse(args); err != nil {
		return nil, flagError(err)
	}
	return given.check(t.Context(), cmd.Flags())
}

const policyText = "rules:\n- namespace: openstack\n  usernames: ['*']\n"

// Every setting that has a variable: the flag takes precedence over the variable,
// the variable over the default, and an empty variable counts as absent.
func TestSettingsComeFromFlagThenEnvironmentThenDefault(t *testing.T) {
	one, two := write(t, policyText), write(t, policyText)
	ca, otherCA := testCA(t), testCA(t)
	tests := map[string]struct {
		flag, variable           string // their values
		value                    func(*settings) any
		byFlag, byVar, byDefault any
	}{
		"nautobot-url": {
			"https://flag/x", "https://variable", func(s *settings) any { return s.nautobotURL.String() },
			"https://flag/x", "https://variable", nil, // required
		},
		"insecure-http":     {"false", "true", func(s *settings) any { return s.insecureHTTP }, false, true, false},
		"nautobot-ca-file":  {ca, otherCA, func(s *settings) any { return s.caFile }, ca, otherCA, ""},
		"nautobot-hostname": {"a,b:8443", "c", func(s *settings) any { return strings.Join(s.hostnames, " ") }, "a b:8443", "c", ""},
		"superuser-secret": {
			"a/b", "c/d", func(s *settings) any { return s.superuserSecret }, "a/b", "c/d", "nautobot/nautobot-superuser",
		},
		"superuser-secret-key": {"a", "b", func(s *settings) any { return s.superuserSecretKey }, "a", "b", ""},
		"policy":               {one, two, func(s *settings) any { return s.policy }, one, two, ""},
		"cluster":              {"a", "b", func(s *settings) any { return s.cluster }, "a", "b", ""},
		"rotation-grace":       {"0", "5m", func(s *settings) any { return s.grace }, time.Duration(0), 5 * time.Minute, time.Hour},
		"timeout":              {"3s", "5m", func(s *settings) any { return s.timeout }, 3 * time.Second, 5 * time.Minute, 2 * time.Minute},
		"log-format":           {"text", "json", func(s *settings) any { return s.logFormat }, "text", "json", ""},
		"log-level":            {"error", "warn", func(s *settings) any { return s.level.Level }, slog.LevelError, slog.LevelWarn, slog.LevelInfo},
	}
	for field := range reflect.TypeFor[environment]().Fields() {
		if flag := field.Tag.Get("flag"); flag != "" && tests[flag].value == nil {
			t.Errorf("--%s is not tested here", flag)
		}
	}
	for flag, tc := range tests {
		t.Run(flag, func(t *testing.T) {
			emptyEnvironment(t)
			variable := variables()[flag]
			required := []string{"--nautobot-url=https://required"}
			if flag == "nautobot-url" {
				required = nil
			}
			check := func(from string, want any, args ...string) {
				t.Helper()
				s, err := read(t, append(required, args...)...)
				if err != nil {
					t.Errorf("by %s: %v", from, err)
				} else if got := tc.value(s); got != want {
					t.Errorf("by %s: %v, want %v", from, got, want)
				}
			}
			if flag != "nautobot-url" {
				check("default", tc.byDefault)
			}
			t.Setenv(variable, tc.variable)
			check("variable", tc.byVar)
			check("flag and variable", tc.byFlag, "--"+flag+"="+tc.flag)
			t.Setenv(variable, "")
			check("flag and empty variable", tc.byFlag, "--"+flag+"="+tc.flag)
		})
	}
}

// A mistake in a setting is reported by the names of flag and variable, wherever
// the setting comes from, and never by its value.
func TestMistakesNameFlagAndVariable(t *testing.T) {
	const (
		aURL      = "want https://HOST[:PORT][/PATH], without user, query or fragment"
		plainHTTP = "plain http exposes passwords and tokens in transit: use https, or allow it with --insecure-http (NAUTOBOT_INSECURE_HTTP)"
		aDuration = "want a duration such as 90s, 30m or 1h; a day is 24h"
		aCluster  = "want lower-case letters, digits, - and ."
	)
	noCA := write(t, "no certificate")
	missing := filepath.Join(t.TempDir(), "missing")
	large := write(t, strings.Repeat("x", maxFile+1))
	tests := map[string]struct{ flag, value, want string }{
		"a URL without a scheme":           {"nautobot-url", "nautobot.example.org", aURL},
		"a URL with a password":            {"nautobot-url", "https://u:" + password + "@host", aURL},
		"a URL with a query":               {"nautobot-url", "https://host?token=" + key, aURL},
		"a URL with an empty query":        {"nautobot-url", "https://host/?", aURL},
		"a URL with an empty fragment":     {"nautobot-url", "https://host/#", aURL},
		"a URL of another scheme":          {"nautobot-url", "ftp://host", aURL},
		"a URL without a host":             {"nautobot-url", "https:///api", aURL},
		"a URL with a port that cannot be": {"nautobot-url", "https://host:65536", aURL},
		"a URL with port 0":                {"nautobot-url", "https://host:0", aURL},
		"a hostname with such a port":      {"nautobot-hostname", "host:70000", "want HOST or HOST:PORT"},
		"a URL that is none":               {"nautobot-url", "https://\x7f" + key, aURL},
		"plain http to another host":       {"nautobot-url", "http://nautobot.example.org", plainHTTP},
		"plain http to what looks local":   {"nautobot-url", "http://localhost.example.org", plainHTTP},
		"a truth that is none":             {"insecure-http", "perhaps", "want true or false"},
		"a CA file that is not there":      {"nautobot-ca-file", missing, "no such file or directory"},
		"a CA file that is a directory":    {"nautobot-ca-file", filepath.Dir(missing), "is a directory"},
		"a CA file without an end":         {"nautobot-ca-file", "/dev/zero", "the file is larger than 1048576 bytes"},
		"a CA file without certificates":   {"nautobot-ca-file", noCA, "the file contains no PEM certificate"},
		"a hostname with a path":           {"nautobot-hostname", "a,b/c", "want HOST or HOST:PORT"},
		"a hostname with a password":       {"nautobot-hostname", "https://u:" + password + "@host", "want HOST or HOST:PORT"},
		"a Secret without a namespace":     {"superuser-secret", "name", "want NAMESPACE/NAME"},
		"a Secret with too much":           {"superuser-secret", "a/b/c", "want NAMESPACE/NAME"},
		"a token instead of its Secret":    {"superuser-secret", key, "want NAMESPACE/NAME"},
		"a key that no Secret has":         {"superuser-secret-key", "a/b", "want letters, digits, -, _ and ."},
		"a password instead of a key":      {"superuser-secret-key", password, "want letters, digits, -, _ and ."},
		"a cluster with a slash":           {"cluster", "a/b", aCluster},
		"a password instead of a cluster":  {"cluster", password, aCluster},
		"a grace without a unit":           {"rotation-grace", "60", aDuration},
		"a grace in days":                  {"rotation-grace", "1d", aDuration},
		"a grace below 0":                  {"rotation-grace", "-1s", "want 0 or more"},
		"a time-out that is none":          {"timeout", "soon", aDuration},
		"a token instead of a time-out":    {"timeout", key, aDuration},
		"a time-out of 0":                  {"timeout", "0s", "want more than 0"},
		"a format of logs":                 {"log-format", "xml", "want text or json"},
		"a token instead of a format":      {"log-format", key, "want text or json"},
		"a level of logs":                  {"log-level", "loud", "want debug, info, warn or error"},
		"a token instead of a level":       {"log-level", key, "want debug, info, warn or error"},
		"a policy that is not there":       {"policy", missing, "no such file or directory"},
		"a token instead of a policy":      {"policy", key, "no such file or directory"},
		"a policy that is too large":       {"policy", large, "the file is larger than 1048576 bytes"},
		"a policy that is empty":           {"policy", "", "is set but empty: leave it out if every Secret may request any account"},
		"a policy of blanks":               {"policy", " \n", "is set but empty: leave it out if every Secret may request any account"},
		"a policy with mistakes":           {"policy", write(t, policyText+"  superUser: 1\nrule: 1\n"), "rule: unknown key, want one of " + topKeys + "; rules[0].superUser: unknown key, want one of " + ruleKeys},
		"a policy that is a token":         {"policy", write(t, key), "want keys and values: " + topKeys},
		"a kubeconfig that is not there":   {"kubeconfig", missing, "no such file or directory"},
		"a token instead of a kubeconfig":  {"kubeconfig", key, "no such file or directory"},
		"a kubeconfig that is a directory": {"kubeconfig", filepath.Dir(missing), ""},
	}
	tested := map[string]bool{}
	for name, tc := range tests {
		tested[tc.flag] = true
		for from, args := range map[string][]string{"flag": {"--" + tc.flag + "=" + tc.value}, "environment": nil} {
			if tc.flag == "kubeconfig" && from == "environment" {
				continue // as kubectl does: files that are not there are skipped
			}
			t.Run(name+", from the "+from, func(t *testing.T) {
				w := newWorld(t)
				if from == "environment" {
					t.Setenv(variables()[tc.flag], tc.value)
				}
				got := w.run(t, with(args...)...)
				setting := "--" + tc.flag + " (" + variables()[tc.flag] + ")"
				if tc.flag == "kubeconfig" {
					setting += ", --context"
				}
				want := "nautobot-token: " + setting + ": " + tc.want + "\nSee 'nautobot-token provision --help'.\n"
				if strings.HasPrefix(tc.want, "is ") && tc.flag == "policy" {
					want = strings.Replace(want, "): is", ") is", 1)
				}
				if tc.want == "" { // client-go's own words
					want = got.stderr
					if !strings.HasPrefix(want, "nautobot-token: "+setting+": ") {
						t.Errorf("standard error is %q", want)
					}
				}
				got.check(t, exitUsage, "", want)
				if n := len(w.nautobot.Requests()) + len(w.kube.Requests()); n > 0 {
					t.Errorf("%d requests, want none", n)
				}
			})
		}
	}
	for flag := range variables() {
		if !tested[flag] {
			t.Errorf("no mistake in --%s is tested", flag)
		}
	}
}

// What is harmless in a value is accepted.
func TestSettingsAreTakenAsTheyAreMeant(t *testing.T) {
	emptyEnvironment(t)
	for variable, value := range map[string]string{
		"NAUTOBOT_URL":              " https://nautobot.example.org/nautobot/api/ \n",
		"NAUTOBOT_INSECURE_HTTP":    "true\n",
		"NAUTOBOT_HOSTNAMES":        "a.example.org, b.example.org ,\n",
		"NAUTOBOT_SUPERUSER_SECRET": "a/b\n",
		"CLUSTER_NAME":              " lab ",
		"ROTATION_GRACE":            "24h\n",
		"TIMEOUT":                   " 3m",
		"LOG_LEVEL":                 "WARNING\n",
		"LOG_FORMAT":                "text\n",
		"NAUTOBOT_CA_FILE":          testCA(t) + "\n",
		"NAUTOBOT_TOKEN_POLICY":     write(t, policyText) + "\n",
	} {
		t.Setenv(variable, value)
	}
	s, err := read(t)
	if err != nil {
		t.Fatal(err)
	}
	type all struct {
		url, secret, cluster, format string
		hostnames                    []string
		grace, timeout               time.Duration
		level                        slog.Level
		insecure                     bool
		rules                        int
	}
	want := all{
		"https://nautobot.example.org/nautobot", "a/b", "lab", "text",
		[]string{"a.example.org", "b.example.org"},
		24 * time.Hour, 3 * time.Minute, slog.LevelWarn, true, 1,
	}
	got := all{
		s.nautobotURL.String(), s.superuserSecret, s.cluster, s.logFormat,
		s.hostnames, s.grace, s.timeout, s.level.Level, s.insecureHTTP, len(s.rules.Rules),
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(all{})); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestURLOfTheAPIIsThatOfNautobot(t *testing.T) {
	emptyEnvironment(t)
	for given, want := range map[string]string{
		"https://host":              "https://host",
		"https://host/":             "https://host",
		"https://host/api":          "https://host",
		"https://host/api/":         "https://host",
		"https://host//api//":       "https://host",
		"https://api":               "https://api",
		"https://host/x/api/":       "https://host/x",
		"https://host/xapi":         "https://host/xapi",
		"https://host/a%2Fb/api":    "https://host/a%2Fb",
		"https://host/api/x":        "https://host/api/x",
		"https://[2001:db8::1]/api": "https://[2001:db8::1]",
	} {
		s, err := read(t, "--nautobot-url="+given)
		if err != nil {
			t.Errorf("%s: %v", given, err)
		} else if got := s.nautobotURL.String(); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

func TestLogLevel(t *testing.T) {
	emptyEnvironment(t)
	tests := map[string]struct {
		variable string
		args     []string
		want     slog.Level
	}{
		"by default":                 {"", nil, slog.LevelInfo},
		"-v":                         {"", []string{"-v"}, slog.LevelDebug},
		"-v, whatever else":          {"error", []string{"--log-level=warn", "-v"}, slog.LevelDebug},
		"warn by its other name":     {"", []string{"--log-level=Warning"}, slog.LevelWarn},
		"in capitals":                {"ERROR", nil, slog.LevelError},
		"the flag, not the variable": {"error", []string{"--log-level=debug"}, slog.LevelDebug},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LOG_LEVEL", tc.variable)
			s, err := read(t, append(tc.args, "--nautobot-url=https://host")...)
			if err != nil || s.level.Level != tc.want {
				t.Errorf("error %v, want level %v", err, tc.want)
			}
		})
	}
}

func TestOtherMistakes(t *testing.T) {
	const help = "\nSee 'nautobot-token provision --help'.\n"
	tests := map[string]struct {
		args   []string
		env    map[string]string
		stderr string
	}{
		"no such command":          {[]string{"provide"}, nil, "nautobot-token: there is no command \"provide\"\nSee 'nautobot-token --help'.\n"},
		"no such command, flags":   {[]string{"provide", "x", "-n", "y"}, nil, "nautobot-token: there is no command \"provide\"\nSee 'nautobot-token --help'.\n"},
		"help about no command":    {[]string{"help", "provide"}, nil, "nautobot-token: there is no command \"provide\"\nSee 'nautobot-token help --help'.\n"},
		"no such command, a token": {[]string{key}, nil, "nautobot-token: there is no such command; what was given is not shown, since it may be a secret\nSee 'nautobot-token --help'.\n"},
		"help about a command's":   {[]string{"help", "provision", "nosuch"}, nil, "nautobot-token: there is no command \"nosuch\"\nSee 'nautobot-token help --help'.\n"},
		"help about a token":       {[]string{"help", "sync", key}, nil, "nautobot-token: there is no such command; what was given is not shown, since it may be a secret\nSee 'nautobot-token help --help'.\n"},
		"a token as a flag":        {with("--" + key), nil, "nautobot-token: unknown flag; it is not shown, since it may be a secret" + help},
		"a password as a flag":     {with("--" + password), nil, "nautobot-token: unknown flag; it is not shown, since it may be a secret" + help},
		"no such flag":             {with("--nosuch=" + key), nil, "nautobot-token: unknown flag: --nosuch" + help},
		"no such short flag":       {with("-p" + password), nil, "nautobot-token: unknown flag: -p" + help},
		"a flag without a name":    {with("--=" + key), nil, "nautobot-token: bad flag syntax: want --NAME or --NAME=VALUE" + help},
		"a flag without value":     {with("--timeout"), nil, "nautobot-token: --timeout (TIMEOUT): a value is missing" + help},
		"no name":                  {[]string{"provision"}, nil, "nautobot-token: give the NAME of a Secret, or --filename for one in a manifest" + help},
		"two names":                {with("second"), nil, "nautobot-token: give the NAME of one Secret, not 2 arguments" + help},
		"name and file":            {with("-f", "x"), nil, "nautobot-token: give the NAME of a Secret or --filename, not both" + help},
		"a name that is none":      {[]string{"provision", newPassword}, nil, ""},
		"a name with a kind":       {[]string{"provision", "Secret/a"}, nil, "nautobot-token: NAME: give the name alone, without the kind before it" + help},
		"a name with a namespace":  {[]string{"provision", "openstack/a"}, nil, "nautobot-token: NAME: give the name alone; the namespace has a flag of its own, -n NAMESPACE" + help},
		"a namespace of nothing":   {with("-n", ""), nil, "nautobot-token: --namespace: it is set but empty: leave it out to use the context's namespace, or the Pod's own" + help},
		"a namespace that is none": {[]string{"provision", "a", "-n", password}, nil, ""},
		"a file that is not there": {[]string{"provision", "-f", "/nowhere/" + key}, nil, "nautobot-token: --filename: no such file or directory" + help},
		"a file that is a folder":  {[]string{"provision", "-f", t.TempDir()}, nil, "nautobot-token: --filename: is a directory" + help},
		"an output of no kind":     {with("-o", "yaml"), nil, "nautobot-token: --output: want text or json" + help},
		"kubectl's dry run":        {with("--dry-run=client"), nil, "nautobot-token: --dry-run: want no value, or true or false: there is only one kind of dry run, which reads everything and writes nothing" + help},
		"detailed-exitcode alone":  {with("--detailed-exitcode"), nil, "nautobot-token: --detailed-exitcode works only with --dry-run" + help},
		"a policy and a rule":      {with("--policy", "x", "--adopt-from", "a/b/c"), nil, "nautobot-token: --adopt-from cannot be combined with --policy (NAUTOBOT_TOKEN_POLICY): the policy's rules decide that" + help},
		"a group without a name":   {with("--group="), nil, "nautobot-token: --group: want the name of a group: 1 to 150 characters, without white space around it or control characters" + help},
		"an owner that is a token": {with("--adopt-from=" + key), nil, "nautobot-token: --adopt-from: want NAMESPACE/NAME or CLUSTER/NAMESPACE/NAME, as in the last name of the account" + help},
		"no URL":                   {provisionIt, map[string]string{"NAUTOBOT_URL": " "}, "nautobot-token: --nautobot-url (NAUTOBOT_URL) is required: the URL of Nautobot" + help},
		"no cluster at all": {
			provisionIt,
			map[string]string{"KUBECONFIG": "/nowhere/x"},
			"nautobot-token: --kubeconfig (KUBECONFIG), --context: no cluster is configured" + help,
		},
		"no such context": {
			with("--context", key), nil, "nautobot-token: --kubeconfig (KUBECONFIG), --context: there is no context with that name" + help,
		},
		"version with an argument":    {[]string{"version", key}, nil, "nautobot-token: version takes no arguments\nSee 'nautobot-token version --help'.\n"},
		"completion with an argument": {[]string{"completion", "bash", "x"}, nil, "nautobot-token: unknown command \"x\" for \"nautobot-token completion bash\"\nSee 'nautobot-token completion bash --help'.\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for variable, value := range tc.env {
				t.Setenv(variable, value)
			}
			got := w.run(t, tc.args...)
			want := tc.stderr
			if want == "" { // Kubernetes' own words
				want = got.stderr
				if !strings.HasPrefix(want, "nautobot-token: NAME: a lowercase RFC 1123 ") && !strings.HasPrefix(want, "nautobot-token: --namespace: a lowercase RFC 1123 ") {
					t.Errorf("standard error is %q", want)
				}
			}
			got.check(t, exitUsage, "", want)
			if n := len(w.nautobot.Requests()); n > 0 {
				t.Errorf("Nautobot was asked %d times, want 0", n)
			}
		})
	}
}

func TestPlainHTTPIsForLoopbackAndForThoseWhoAllowIt(t *testing.T) {
	emptyEnvironment(t)
	for _, args := range [][]string{
		{"--nautobot-url=http://127.0.0.1:8000"},
		{"--nautobot-url=http://127.1.2.3"},
		{"--nautobot-url=http://[::1]:8000"},
		{"--nautobot-url=http://LocalHost"},
		{"--nautobot-url=http://nautobot.nautobot.svc", "--insecure-http"},
		{"--nautobot-url=HTTPS://nautobot.example.org:8443/path"},
	} {
		if _, err := read(t, args...); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
	for _, args := range [][]string{
		{"--nautobot-url=http://128.0.0.1"},
		{"--nautobot-url=http://0.0.0.0"},
		{"--nautobot-url=http://nautobot"},
		{"--nautobot-url=http://nautobot", "--insecure-http=false"},
	} {
		if _, err := read(t, args...); err == nil {
			t.Errorf("%v: accepted", args)
		}
	}
}

// Logs are for people only on a terminal: /dev/null is a device too.
func TestLogsAreTextOnATerminal(t *testing.T) {
	emptyEnvironment(t)
	for device, want := range map[string]string{"/dev/ptmx": "*slog.TextHandler", "/dev/null": "*slog.JSONHandler"} {
		file, err := os.OpenFile(device, os.O_RDWR, 0)
		if err != nil {
			t.Skip(err)
		}
		defer file.Close()
		s, err := read(t, "--nautobot-url=https://host")
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%T", s.logger(file).Handler()); got != want {
			t.Errorf("%s: %s, want %s", device, got, want)
		}
	}
}
