//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

const provisioners = "nautobot-token-provisioners"

// The setup command makes an account that can provision, and the server keeps
// it to that.
func TestProvisioner(t *testing.T) {
	asSuperuser(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		p := f.another()
		p.username = "provisioner-" + randomText()
		p.env["NAUTOBOT_TOKEN"] = nautobot.Token
		p.env["KUBECONFIG"] = "/dev/null"
		t.Cleanup(func() { f.setUpAgain(t) })
		file := filepath.Join(t.TempDir(), "provisioner.yaml")
		if !t.Run("setup", func(t *testing.T) { setUpProvisioner(t, p, file) }) {
			return
		}
		t.Run("provision", func(t *testing.T) {
			manifest, err := os.ReadFile(file)
			if err == nil {
				err = cluster.Apply(t.Context(), manifest)
			}
			if err != nil {
				t.Fatal(f.redact(err.Error()))
			}
			f.provisionNew(t).wantStdout(t, f.userLine("created"), f.tokenLine("created"))
			f.wantAccount(t)
			f.wantUnchanged(t)
		})
		group, byHand := f.makeGroup(t), f.makeByHand(t, nil)
		before := f.snapshot(t)
		t.Run("no more than that", func(t *testing.T) { tryWhatAProvisionerMayNot(t, f, p, byHand, group) })
		wantSame(t, before, f.snapshot(t))
		t.Run("rotation", func(t *testing.T) { rotateProvisioner(t, p, file) })
	})
}

func setUpProvisioner(t *testing.T, p *fixture, file string) {
	p.proxy.spoil(func(_ int, r *http.Request) fate {
		p.notePassword(t, r)
		return nil
	})
	defer p.proxy.spoil(nil)
	p.removeByName(t, "permissions/", managed, provisioners, provisioners+"-users")
	p.removeByName(t, "groups/", managed, provisioners)

	dry := p.setup(t, file, "--dry-run").want(t, 0).wantNoWrite(t)
	p.setup(t, file, "--dry-run", "--detailed-exitcode").want(t, 4).wantNoWrite(t)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a dry run wrote the file: %v", err)
	}
	first := p.setup(t, file).want(t, 0).wantStdout(t,
		"file/provisioner.yaml created",
		"group/"+managed+" created", "permission/"+managed+" created",
		"group/"+provisioners+" created", "permission/"+provisioners+" created", "permission/"+provisioners+"-users created",
		p.userLine("created"), "token/"+p.username+" created")
	if got := strings.ReplaceAll(dry.stdout, " (dry run)", ""); got != first.stdout {
		t.Errorf("the dry run said\n%sand the apply\n%s", got, first.stdout)
	}

	token, err := tokenInManifest(file)
	if err != nil {
		t.Fatal(err)
	}
	p.token, p.secrets["token that setup made"] = token, token
	first.checkSecrets(t, nil)
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file has mode %v (%v), want 0600", info.Mode(), err)
	}
	// Nobody provisions it.
	p.run(t, "provision", "-f", file).wantRefused(t, "label token/type: nautobot").wantRequests(t, 0, 0, 0)

	p.wantProvisioner(t, file)

	// What was taken away is put back.
	p.removeByName(t, "permissions/", managed, provisioners+"-users")
	p.removeByName(t, "groups/", managed)
	p.setup(t, file).want(t, 0).wantStdout(t, "group/"+managed+" created", "permission/"+managed+" created",
		"permission/"+provisioners+"-users created", p.userLine("unchanged"), "token/"+p.username+" unchanged")
	p.wantProvisioner(t, file)
}

// setup runs the setup command, for a provisioner of the fixture's username.
func (f *fixture) setup(t *testing.T, file string, flags ...string) result {
	t.Helper()
	return f.run(t, append([]string{"setup", "-f", file, "--username=" + f.username}, flags...)...)
}

// wantProvisioner checks that setup did everything, and nothing the next time.
func (f *fixture) wantProvisioner(t *testing.T, file string) {
	t.Helper()
	f.wantToken(t, "the provisioner's token", f.token, http.StatusOK, "")
	f.wantPassword(t, "the password for a moment", f.opening(t), http.StatusForbidden)
	if user := f.user(t); user.Superuser || user.Staff || !user.Active || !slices.Equal(user.GroupNames(), []string{provisioners}) {
		t.Errorf("the provisioner: superuser %t, staff %t, active %t, groups %v", user.Superuser, user.Staff, user.Active, user.GroupNames())
	}
	f.setup(t, file).want(t, 0).wantNoWrite(t).wantStdout(t, f.userLine("unchanged"), "token/"+f.username+" unchanged")
	f.setup(t, file, "--dry-run", "--detailed-exitcode").want(t, 0).wantNoWrite(t)
	if now, err := tokenInManifest(file); err != nil || now != f.token {
		t.Errorf("setup changed the file (%v)", err)
	}
}

// rotateProvisioner puts a new token into the file.
func rotateProvisioner(t *testing.T, p *fixture, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	token := p.token
	p.token = p.newHexToken("token that was written by hand")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), token, p.token)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.setup(t, file, "--rotation-grace=0").want(t, 0).wantStdout(t, p.userLine("unchanged"), "token/"+p.username+" created 1 superseded token deleted")
	p.wantToken(t, "the first token", token, http.StatusForbidden, "Invalid token")
	p.wantProvisioner(t, file)
}

// tryWhatAProvisionerMayNot: f's superuser Secret holds the token of p, and f
// has an account; byHand and group were made by a person.
func tryWhatAProvisionerMayNot(t *testing.T, f, p, byHand *fixture, group string) {
	by := servers.ByToken(p.token)
	refused := func(method, path string, body any, want int) {
		t.Helper()
		if status, _ := f.ask(t, by, method, path, body); status != want {
			t.Errorf("%s %s: Nautobot answers %d, want %d", method, path, status, want)
		}
	}
	admin := f.another()
	admin.username = f.nautobot.Username
	for _, other := range []*fixture{admin, p, byHand} {
		id := other.user(t).ID
		var found struct{ Count int }
		f.must(t, by, http.MethodGet, "users/?username="+other.username, nil, &found)
		if found.Count != 0 {
			t.Errorf("it sees account %s", other.username)
		}
		refused(http.MethodGet, "users/"+id+"/", nil, http.StatusNotFound)
		refused(http.MethodPatch, "users/"+id+"/", object{"password": f.newPassword("foreign password")}, http.StatusNotFound)
		refused(http.MethodPatch, "users/"+id+"/", object{"groups": []object{{"name": managed}}}, http.StatusNotFound)
		refused(http.MethodDelete, "users/"+id+"/", nil, http.StatusForbidden)
	}

	inManaged := []object{{"name": managed}}
	for name, more := range map[string]object{
		"superuser":         {"groups": inManaged, "is_superuser": true},
		"staff":             {"groups": inManaged, "is_staff": true},
		"no group":          {},
		"another group":     {"groups": []object{{"name": group}}},
		"its own group":     {"groups": []object{{"name": provisioners}}},
		"the managed group": nil,
	} {
		t.Run("create/"+name, func(t *testing.T) {
			g := f.another()
			account := object{"username": g.username, "password": g.password}
			for key, value := range more {
				account[key] = value
			}
			want := http.StatusForbidden
			if more == nil { // as a proof that it is the group which makes the difference
				account["groups"], want = inManaged, http.StatusCreated
			}
			status, _ := g.ask(t, by, http.MethodPost, "users/", account)
			if status != want {
				t.Errorf("Nautobot answers %d, want %d", status, want)
			}
			user := g.user(t)
			if (user != nil) != (more == nil) {
				t.Errorf("account stored: %t", user != nil)
			}
			if user != nil {
				g.must(t, g.superuser(), http.MethodDelete, "users/"+user.ID+"/", nil, nil)
			}
		})
	}
	for _, change := range []object{{"is_superuser": true}, {"is_staff": true}, {"groups": []int{}}} {
		refused(http.MethodPatch, "users/"+f.user(t).ID+"/", change, http.StatusForbidden)
	}
	refused(http.MethodDelete, "users/"+f.user(t).ID+"/", nil, http.StatusForbidden)
	refused(http.MethodPost, "groups/", object{"name": "mine-" + randomText()}, http.StatusForbidden)
	refused(http.MethodPost, "permissions/", object{
		"name": "mine-" + randomText(), "object_types": []string{"users.user"}, "actions": []string{"view"},
	}, http.StatusForbidden)
	var tokens struct{ Results []servers.NautobotToken }
	f.must(t, by, http.MethodGet, "tokens/?limit=1000", nil, &tokens)
	if len(tokens.Results) != 1 || tokens.Results[0].Key != p.token {
		t.Errorf("it sees %d tokens, want its own", len(tokens.Results))
	}

	t.Run("--superuser", func(t *testing.T) {
		g := f.another()
		g.saveSecret(t)
		g.provision(t, "--superuser").want(t, 3).wantText(t, "requires a superuser's token").wantNothingStored(t)
		f.provision(t, "--superuser").want(t, 3).wantText(t, "requires a superuser's token").wantNothingStored(t)
		f.wantUnchanged(t)
	})
	t.Run("a group that does not exist", func(t *testing.T) {
		g := f.another()
		g.saveSecret(t)
		g.provision(t, "--group=not-there").wantRefused(t, "not-there")
		f.provision(t, "--group=not-there").wantRefused(t, "not-there")
		f.wantUnchanged(t)
	})
	t.Run("setup", func(t *testing.T) {
		g := f.another()
		g.env["NAUTOBOT_TOKEN"] = p.token
		g.setup(t, filepath.Join(t.TempDir(), "another.yaml"), "--dry-run").want(t, 3).wantText(t, "superuser").wantNoWrite(t)
	})
}

// makeGroup makes a group for others than the managed accounts.
func (f *fixture) makeGroup(t *testing.T) string {
	t.Helper()
	name := "e2e-group-" + randomText()
	f.must(t, f.superuser(), http.MethodPost, "groups/", object{"name": name}, nil)
	return name
}
