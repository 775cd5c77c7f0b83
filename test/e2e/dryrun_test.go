//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

// Each state is looked at by dry runs in both formats, and then changed by an
// apply: all say the same.
func TestDryRun(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		for _, c := range []struct {
			name          string
			prepare       func(t *testing.T)
			pending       int // exit code of --detailed-exitcode
			apply         int // exit code of the apply
			superuserOnly bool
		}{
			{"group missing", func(t *testing.T) { f.removeManagedGroup(t); f.saveSecret(t) }, 4, 0, true},
			{"creation", func(t *testing.T) {
				f = f.another()
				f.saveSecret(t)
			}, 4, 0, false},
			{"nothing to do", func(*testing.T) {}, 0, 0, false},
			{"rotation", func(t *testing.T) { f.token = f.newToken("second token"); f.saveSecret(t) }, 4, 0, false},
			{"password", func(t *testing.T) { f.password = f.newPassword("second password"); f.saveSecret(t) }, 4, 0, false},
			{"flags, groups and e-mail", func(t *testing.T) {
				f.must(t, f.superuser(), http.MethodPatch, "users/"+f.user(t).ID+"/",
					object{"groups": []int{}, "is_staff": true}, nil)
				data := f.data()
				data["email"] = "a@example.com"
				f.saveData(t, data)
			}, 4, 0, true},
			{"read-only token", func(t *testing.T) {
				f.must(t, servers.ByToken(f.token), http.MethodPatch, "tokens/"+f.ownToken(t).ID+"/", object{"write_enabled": false}, nil)
			}, 4, 0, false},
			{"refused", func(t *testing.T) {
				data := f.data()
				data["token"], data["email"] = f.token[:38], "nobody"
				f.saveData(t, data)
			}, 3, 3, false},
		} {
			if c.superuserOnly && nautobot.identity != superuser {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				c.prepare(t)
				text := f.provision(t, "--dry-run").wantNoWrite(t)
				if want := min(c.apply, 3); text.code != want {
					t.Errorf("dry run: exit code %d, want %d\n%s", text.code, want, text)
				}
				inJSON := f.provision(t, "--dry-run", "-o", "json", "--detailed-exitcode").want(t, c.pending).wantNoWrite(t)
				apply := f.provision(t).want(t, c.apply)

				for line := range strings.Lines(text.stdout) {
					if !strings.Contains(line, " (dry run)") {
						t.Errorf("a line of a dry run does not say so: %s", line)
					}
				}
				if got := strings.ReplaceAll(text.stdout, " (dry run)", ""); !sameLines(got, apply.stdout) {
					t.Errorf("the dry run said\n%sand the apply\n%s%s", got, apply.stdout, apply)
				}
				if got, want := linesOfJSON(t, inJSON.stdout), text.lines(); strings.Join(got, "\n") != strings.Join(want, "\n") {
					t.Errorf("in JSON it says\n%s\nas text\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	})
}

// sameLines compares a dry run with the apply. Who writes nothing does not find
// out everything, and says so: of such a line only the object counts.
func sameLines(dry, apply string) bool {
	return slices.EqualFunc(strings.Split(dry, "\n"), strings.Split(apply, "\n"), func(d, a string) bool {
		object, _, _ := strings.Cut(d, " ")
		return d == a || strings.Contains(d, " not known") && strings.HasPrefix(a, object+" ")
	})
}

// linesOfJSON writes the result in JSON as the text format has it, and
// refuses fields that it does not know.
func linesOfJSON(t *testing.T, text string) []string {
	t.Helper()
	var lines []string
	for one := range strings.Lines(text) {
		var line struct {
			Object, Action string
			Fields, Notes  []string
			DryRun         bool
		}
		decoder := json.NewDecoder(strings.NewReader(one))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&line); err != nil || decoder.More() {
			t.Fatalf("not one JSON object a line: %v: %s", err, one)
		}
		words := line.Object + " " + line.Action
		if line.DryRun {
			words += " (dry run)"
		}
		details := line.Notes
		if len(line.Fields) > 0 {
			details = append([]string{strings.Join(line.Fields, ", ")}, details...)
		}
		lines = append(lines, strings.TrimSpace(words+" "+strings.Join(details, "; ")))
	}
	return lines
}

func TestJSONOfAnApply(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		created := linesOfJSON(t, f.provision(t, "-o", "json").want(t, 0).stdout)
		if want := f.userLine("created") + "\n" + f.tokenLine("created"); strings.Join(created, "\n") != want {
			t.Errorf("%q, want %q", created, want)
		}
		f.env["NAUTOBOT_TOKEN"] = strings.Repeat("0", 40)
		failed := linesOfJSON(t, f.provision(t, "-o", "json").want(t, 1).stdout)
		if len(failed) != 1 || !strings.HasPrefix(failed[0], "secret/"+f.namespace+"/"+f.name+" failed find user: ") {
			t.Errorf("%q, want one line that says failed", failed)
		}
	})
}
