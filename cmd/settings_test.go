package cmd

import (
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// read parses a command line of provision into settings.
func read(t *testing.T, args ...string) (settings, error) {
	t.Helper()
	var options options
	flags := pflag.NewFlagSet("provision", pflag.ContinueOnError)
	options.addTo(flags)
	if err := flags.Parse(args); err != nil {
		return settings{}, flagError(err)
	}
	return options.settings(flags)
}

const policyText = "rules:\n- namespace: openstack\n  usernames: ['*']\n"

// Every setting that has a variable: the flag counts before the variable, the
// variable before the default, and an empty variable counts as absent.
func TestSettingsComeFromFlagThenEnvironmentThenDefault(t *testing.T) {
	one, two := write(t, policyText), write(t, policyText)
	ca, otherCA := testCA(t), testCA(t)
	tests := map[string]struct {
		flag, variable           string // their values
		value                    func(settings) any
		byFlag, byVar, byDefault any
	}{
		"nautobot-url": {
			"https://flag/x", "https://variable", func(s settings) any { return s.nautobotURL.String() },
			"https://flag/x", "https://variable", nil, // required
		},
		"insecure-http":     {"false", "true", func(s settings) any { return s.insecureHTTP }, false, true, false},
		"nautobot-ca-file":  {ca, otherCA, func(s settings) any { return s.caFile }, ca, otherCA, ""},
		"nautobot-hostname": {"a,b:8443", "c", func(s settings) any { return strings.Join(s.hostnames, " ") }, "a b:8443", "c", ""},
		"superuser-secret": {
			"a/b", "c/d", func(s settings) any { return s.superuserSecret }, "a/b", "c/d", "nautobot/nautobot-superuser",
		},
		"superuser-secret-key": {"a", "b", func(s settings) any { return s.superuserSecretKey }, "a", "b", ""},
		"policy":               {one, two, func(s settings) any { return s.policy }, one, two, ""},
		"cluster":              {"a", "b", func(s settings) any { return s.cluster }, "a", "b", ""},
		"rotation-grace":       {"0", "5m", func(s settings) any { return s.grace }, time.Duration(0), 5 * time.Minute, time.Hour},
		"timeout":              {"3s", "5m", func(s settings) any { return s.timeout }, 3 * time.Second, 5 * time.Minute, 2 * time.Minute},
		"log-format":           {"text", "json", func(s settings) any { return s.logFormat }, "text", "json", ""},
		"verbose":              {"error", "warn", func(s settings) any { return s.level.Level }, slog.LevelError, slog.LevelWarn, slog.LevelInfo},
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

// What is wrong in a setting is told by the name of the flag and of the
// variable, wherever it comes from.
func TestMistakesNameFlagAndVariable(t *testing.T) {
	noCA := write(t, "no certificate")
	missing := filepath.Join(t.TempDir(), "missing")
	tests := map[string]struct{ flag, value, want string }{
		"a URL without a scheme":         {"nautobot-url", "nautobot.example.org", "want https://HOST[:PORT][/PATH], without user, query or fragment"},
		"a URL with a password":          {"nautobot-url", "https://u:" + password + "@host", "want https://HOST[:PORT][/PATH], without user, query or fragment"},
		"a URL with a query":             {"nautobot-url", "https://host?token=" + key, "want https://HOST[:PORT][/PATH], without user, query or fragment"},
		"a URL of another scheme":        {"nautobot-url", "ftp://host", "want https://HOST[:PORT][/PATH], without user, query or fragment"},
		"a URL that is none":             {"nautobot-url", "https://\x7f" + key, "want https://HOST[:PORT][/PATH], without user, query or fragment"},
		"plain http to another host":     {"nautobot-url", "http://nautobot.example.org", "plain http shows passwords and tokens on the way: use https, or allow it with --insecure-http (NAUTOBOT_INSECURE_HTTP)"},
		"plain http to what looks local": {"nautobot-url", "http://localhost.example.org", "plain http shows passwords and tokens on the way: use https, or allow it with --insecure-http (NAUTOBOT_INSECURE_HTTP)"},
		"a truth that is none":           {"insecure-http", "perhaps", `"perhaps": strconv.ParseBool: parsing "perhaps": invalid syntax`},
		"a CA file that is not there":    {"nautobot-ca-file", missing, "open " + missing + ": no such file or directory"},
		"a CA file without certificates": {"nautobot-ca-file", noCA, noCA + " holds no certificate in PEM"},
		"a hostname with a path":         {"nautobot-hostname", "a,b/c", `"b/c": want HOST or HOST:PORT`},
		"a Secret without a namespace":   {"superuser-secret", "name", `"name": want NAMESPACE/NAME`},
		"a Secret with too much":         {"superuser-secret", "a/b/c", `"a/b/c": want NAMESPACE/NAME`},
		"a cluster with a slash":         {"cluster", "a/b", `"a/b": want lower-case letters, digits, - and .`},
		"a grace without a unit":         {"rotation-grace", "60", `"60": time: missing unit in duration "60"`},
		"a grace below 0":                {"rotation-grace", "-1s", "-1s: want 0 or more"},
		"a time-out that is none":        {"timeout", "soon", `"soon": time: invalid duration "soon"`},
		"a time-out of 0":                {"timeout", "0s", "0s: want more than 0"},
		"a format of logs":               {"log-format", "xml", `"xml": want text or json`},
		"a level of logs":                {"verbose", "loud", `"loud": want debug, info, warn or error`},
		"a policy that is not there":     {"policy", missing, "open " + missing + ": no such file or directory"},
		"a kubeconfig that is not there": {"kubeconfig", missing, ""},
	}
	tested := map[string]bool{}
	for name, tc := range tests {
		tested[tc.flag] = true
		for from, args := range map[string][]string{"flag": {"--" + tc.flag + "=" + tc.value}, "environment": nil} {
			if tc.flag == "kubeconfig" && from == "environment" {
				continue // kubectl's way: files that are not there are passed over
			}
			if strings.Contains(tc.value, "canary") && from == "flag" {
				continue // nobody puts it there
			}
			t.Run(name+", from the "+from, func(t *testing.T) {
				w := newWorld(t)
				if from == "environment" {
					t.Setenv(variables()[tc.flag], tc.value)
				}
				got := w.run(t, with(args...)...)
				want := "nautobot-token: --" + tc.flag + " (" + variables()[tc.flag] + "): " + tc.want + "\nSee 'nautobot-token provision --help'.\n"
				if tc.want == "" { // client-go's own words
					want = got.stderr
					if !strings.HasPrefix(want, "nautobot-token: --kubeconfig (KUBECONFIG), --context: ") {
						t.Errorf("standard error is %q", want)
					}
				}
				got.check(t, exitUsage, "", want)
				if n := len(w.nautobot.Requests()) + len(w.kube.requests()); n > 0 {
					t.Errorf("%d requests, want none", n)
				}
			})
		}
	}
	for flag := range variables() {
		if !tested[flag] && flag != "superuser-secret-key" { // whose every value is fine
			t.Errorf("no mistake in --%s is tested", flag)
		}
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
		"no such flag":             {with("--nosuch"), nil, "nautobot-token: unknown flag: --nosuch" + help},
		"a flag without value":     {with("--timeout"), nil, "nautobot-token: --timeout (TIMEOUT): a value is missing" + help},
		"no name":                  {[]string{"provision"}, nil, "nautobot-token: the NAME of a Secret is missing, or --filename for one in a manifest" + help},
		"two names":                {with("second"), nil, "nautobot-token: give the NAME of one Secret, not 2 arguments" + help},
		"name and file":            {with("-f", "x"), nil, "nautobot-token: give the NAME of a Secret or --filename, not both" + help},
		"a name that is none":      {[]string{"provision", "A_B"}, nil, ""},
		"a namespace that is none": {[]string{"provision", "a", "-n", "a/b"}, nil, ""},
		"a file that is not there": {[]string{"provision", "-f", "/nowhere/x"}, nil, "nautobot-token: --filename: open /nowhere/x: no such file or directory" + help},
		"an output of no kind":     {with("-o", "yaml"), nil, "nautobot-token: --output: \"yaml\": want text or json" + help},
		"detailed-exitcode alone":  {with("--detailed-exitcode"), nil, "nautobot-token: --detailed-exitcode goes with --dry-run only" + help},
		"no URL":                   {provisionIt, map[string]string{"NAUTOBOT_URL": ""}, "nautobot-token: --nautobot-url (NAUTOBOT_URL) is required: the URL of Nautobot" + help},
		"two superuser tokens":     {provisionIt, map[string]string{"NAUTOBOT_TOKEN": key, "NAUTOBOT_TOKEN_FILE": "x"}, "nautobot-token: NAUTOBOT_TOKEN and NAUTOBOT_TOKEN_FILE are both set: give one" + help},
		"a superuser token with a blank": {
			provisionIt,
			map[string]string{"NAUTOBOT_TOKEN": key + " " + key},
			"nautobot-token: NAUTOBOT_TOKEN or NAUTOBOT_TOKEN_FILE: the superuser token is empty, or has characters that no token has" + help,
		},
		"a superuser token of blanks": {
			provisionIt,
			map[string]string{"NAUTOBOT_TOKEN": " \n"},
			"nautobot-token: NAUTOBOT_TOKEN or NAUTOBOT_TOKEN_FILE: the superuser token is empty, or has characters that no token has" + help,
		},
		"a token file that is not there": {
			provisionIt,
			map[string]string{"NAUTOBOT_TOKEN_FILE": "/nowhere/x"},
			"nautobot-token: NAUTOBOT_TOKEN_FILE: open /nowhere/x: no such file or directory" + help,
		},
		"no cluster at all": {
			provisionIt,
			map[string]string{"KUBECONFIG": "/nowhere/x"},
			"nautobot-token: --kubeconfig (KUBECONFIG), --context: no cluster is configured" + help,
		},
		"no such context": {
			with("--context", "nosuch"), nil, "nautobot-token: --kubeconfig (KUBECONFIG), --context: context \"nosuch\" does not exist" + help,
		},
		"version with an argument": {[]string{"version", "x"}, nil, "nautobot-token: version takes no arguments\nSee 'nautobot-token version --help'.\n"},
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
				if !strings.HasPrefix(want, "nautobot-token: NAME \"A_B\": ") && !strings.HasPrefix(want, "nautobot-token: --namespace \"a/b\": ") {
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

// The arguments of a process are there for everybody on the machine to see: no
// flag takes a secret, and those settings that are secrets have no flag.
func TestNoFlagTakesASecret(t *testing.T) {
	var secret []string
	for field := range reflect.TypeFor[environment]().Fields() {
		if field.Tag.Get("flag") == "" {
			secret = append(secret, field.Tag.Get("envconfig"))
		}
	}
	if diff := cmp.Diff([]string{"NAUTOBOT_TOKEN", "NAUTOBOT_TOKEN_FILE"}, secret); diff != "" {
		t.Errorf("variables without a flag (-want +got):\n%s", diff)
	}
	// A new flag comes onto this list once somebody has thought about it.
	harmless := strings.Fields(`namespace filename username dry-run detailed-exitcode output policy superuser group adopt exclusive
		nautobot-url insecure-http nautobot-ca-file nautobot-hostname superuser-secret superuser-secret-key cluster
		rotation-grace timeout kubeconfig context log-format verbose`)
	visit(newRootCommand(), func(command *cobra.Command) {
		command.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			if !slices.Contains(harmless, flag.Name) {
				t.Errorf("%s has --%s: can it hold a secret?", command.CommandPath(), flag.Name)
			}
		})
	})
}

func visit(command *cobra.Command, each func(*cobra.Command)) {
	each(command)
	for _, below := range command.Commands() {
		visit(below, each)
	}
}

func TestHelp(t *testing.T) {
	emptyEnvironment(t)
	for file, args := range map[string][]string{"help": {"--help"}, "provision-help": {"provision", "--help"}} {
		var stdout, stderr strings.Builder
		code := run(t.Context(), args, nil, &stdout, &stderr)
		golden(t, file, stdout.String())
		if code != exitDone || stderr.Len() > 0 {
			t.Errorf("%v: exit code %d, standard error %q", args, code, &stderr)
		}
	}
	var bare strings.Builder
	if code := run(t.Context(), []string{}, nil, &bare, &bare); code != exitDone {
		t.Errorf("without arguments: exit code %d", code)
	}
	golden(t, "help", bare.String())
}

// --help tells the variable of every flag that has one, and every exit code.
func TestHelpIsComplete(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "provision-help.golden"))
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range slices.Sorted(maps.Keys(variables())) {
		if !strings.Contains(string(text), "--"+flag) || !strings.Contains(string(text), "[$"+variables()[flag]+"]") {
			t.Errorf("--%s or its variable %s is missing in --help", flag, variables()[flag])
		}
	}
	for _, code := range []string{"  0  ", "  1  ", "  2  ", "  3  ", "  4  ", "130", "143"} {
		if !strings.Contains(string(text), code) {
			t.Errorf("exit code %s is missing in --help", code)
		}
	}
}

func TestVersion(t *testing.T) {
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"version"}, nil, &stdout, &stderr)
	var names []string
	for row := range strings.Lines(stdout.String()) {
		columns := strings.Fields(row)
		if len(columns) != 2 {
			t.Errorf("line %q, want a name and a value", row)
			continue
		}
		names = append(names, columns[0])
	}
	if want := []string{"version", "commit", "go", "go-nautobot"}; code != exitDone || stderr.Len() > 0 || !slices.Equal(names, want) {
		t.Errorf("exit code %d, names %v, want %v; standard error %q", code, names, want, &stderr)
	}
}
