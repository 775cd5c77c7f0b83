//go:build e2e

package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// The check for pipelines tells the three cases apart, with the rights of the
// Job, and writes nothing.
func TestPipeline(t *testing.T) {
	r := install(t, site, "site")
	r.apply(t, read(t, "site/secrets.yaml"))
	r.applySuperuser(t)
	removeAtEnd(t, r.secrets)
	first, second := r.secrets[1], r.secrets[2]
	check := func(want int, secrets ...corev1.Secret) result {
		t.Helper()
		args := []string{folder + "/pipeline/check.sh"}
		for _, secret := range secrets {
			args = append(args, secret.Namespace+"/"+secret.Name)
		}
		got := r.run(t, "sh", args...)
		if got.code != want {
			t.Errorf("exit code %d, want %d\n%s%s", got.code, want, got.stdout, got.stderr)
		}
		return got
	}
	unlabelled := r.secrets[0]

	check(4, first, second)
	found, err := nautobot.User(t.Context(), first.StringData["username"])
	if err != nil || found != nil {
		t.Errorf("after the check the account is there: %v, %v", found, err)
	}
	if got := r.provision(t, first); got.code != 0 {
		t.Fatalf("exit code %d\n%s", got.code, got.stderr)
	}
	check(0, first)
	check(4, first, second)
	check(4, second, first) // the last one does not decide
	check(3, unlabelled, second)
	check(3, second, unlabelled)
	if got := r.provision(t, second); got.code != 0 {
		t.Fatalf("exit code %d\n%s", got.code, got.stderr)
	}
	check(0, first, second).want(t, 0,
		"user/rxdb-lab-openstack unchanged (dry run)", "token/openstack/nautobot-token unchanged (dry run)",
		"user/rxdb-lab-workflow unchanged (dry run)", "token/argo-events/nautobot-token unchanged (dry run)")
}

// Without arguments there is nothing to check, which must not pass for a check.
func TestPipelineWithoutSecrets(t *testing.T) {
	r := install(t, site, "site")
	if got := r.run(t, "sh", folder+"/pipeline/check.sh"); got.code != 2 {
		t.Errorf("exit code %d, want 2", got.code)
	}
}

// What has failed for one Secret and may work next time counts more than what
// was refused for another, in whatever order; a stand-in gives the exit codes.
func TestPipelineExitCode(t *testing.T) {
	program := filepath.Join(t.TempDir(), "nautobot-token")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit \"$2\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for secrets, want := range map[string]int{
		"a/0 a/0": 0, "a/0 a/4": 4, "a/4 a/0": 4, "a/3 a/4": 3, "a/1 a/4": 1, "a/1 a/3": 1, "a/3 a/1": 1, "a/3 a/1 a/3 a/0": 1, "a/2 a/2": 2,
	} {
		cmd := exec.CommandContext(t.Context(), "sh", append([]string{folder + "/pipeline/check.sh"}, strings.Fields(secrets)...)...)
		cmd.Env = []string{"PATH=" + filepath.Dir(program)}
		if output, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != want {
			t.Errorf("%s: exit code %d, want %d\n%s", secrets, cmd.ProcessState.ExitCode(), want, output)
		}
	}
}
