package cmd

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Everybody on the machine can see the arguments of a process: no flag takes a
// secret, and settings that are secrets have no flag.
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
	// A new flag is added to this list once somebody has thought about it.
	harmless := strings.Fields(`namespace filename username policy superuser group adopt adopt-from exclusive
		nautobot-url insecure-http nautobot-ca-file nautobot-hostname superuser-secret superuser-secret-key rotation-grace
		kubeconfig context cluster dry-run detailed-exitcode output log-format log-level verbose timeout version
		release release-namespace all-namespaces shard parallel quick prune settle limit quiet refused-ok delete`)
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
	for file, args := range map[string][]string{
		"help": {"help"}, "provision-help": {"provision", "--help"}, "setup-help": {"help", "setup"},
		"check-help": {"check", "--help"}, "sync-help": {"sync", "--help"}, "revoke-help": {"revoke", "--help"},
	} {
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

// --help shows the variable of every flag that has one, and every exit code.
func TestHelpIsComplete(t *testing.T) {
	for _, command := range []string{"provision", "sync", "revoke"} {
		text, err := os.ReadFile(filepath.Join("testdata", command+"-help.golden"))
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range slices.Sorted(maps.Keys(variables())) {
			if !strings.Contains(string(text), "--"+flag) || !strings.Contains(string(text), "[$"+variables()[flag]+"]") {
				t.Errorf("%s: --%s or its variable %s is missing in --help", command, flag, variables()[flag])
			}
		}
		for _, code := range []string{"  0  ", "  1  ", "  2  ", "  3  ", "  4  ", "130", "143"} {
			if !strings.Contains(string(text), code) {
				t.Errorf("%s: exit code %s is missing in --help", command, code)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	var stdout, stderr, flag strings.Builder
	code := run(t.Context(), []string{"version"}, nil, &stdout, &stderr)
	if asFlag := run(t.Context(), []string{"--version"}, nil, &flag, &stderr); asFlag != code || flag.String() != stdout.String() {
		t.Errorf("--version: exit code %d and %q, want what the command says", asFlag, flag.String())
	}
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
