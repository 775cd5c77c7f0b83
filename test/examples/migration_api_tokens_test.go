//go:build e2e

package examples

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/rackerlabs/understack/go/nautobot-token/test/servers"
)

const (
	chartGroup  = "nautobot-api-token-managed"  // of the accounts of nautobot-api-tokens
	chartPrefix = "nautobot-api-token-managed:" // of the descriptions of its tokens
)

// A chartEntry is one of tokens[] in the values of nautobot-api-tokens.
type chartEntry struct {
	Name     string `json:"name"`
	Username string `json:"username"`
	Email    string `json:"email"`
	Key      string `json:"key"`
	Super    bool   `json:"super"`
}

// A chartSync is what one sync of nautobot-api-tokens has its Jobs do: first
// one for each entry, then the clean-up.
type chartSync struct {
	Entries     []chartEntry `json:"entries"`
	Group       string       `json:"group"`
	KeepUsers   bool         `json:"keepUsers"`   // deleteUserWhenNoManagedTokens: false
	OnlyCleanup bool         `json:"onlyCleanup"` // its Job comes before the others
}

func entryOf(secret corev1.Secret) chartEntry {
	return chartEntry{
		Name:     strings.TrimPrefix(secret.Name, "nautobot-token-"),
		Username: secret.StringData["username"], Email: secret.StringData["email"], Key: secret.StringData["apiToken"],
	}
}

// run does in the database what the Jobs do there, and returns the accounts and
// tokens that the clean-up deleted.
func (s chartSync) run(t *testing.T) []string {
	t.Helper()
	s.Group = chartGroup
	settings, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	code := `
import json
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from nautobot.users.models import Token
User, mark, sync = get_user_model(), ` + quote(chartPrefix) + `, json.loads(` + quote(string(settings)) + `)
for entry in [] if sync["onlyCleanup"] else sync["entries"]:
    account = User.objects.filter(username=entry["username"]).first() or User(username=entry["username"])
    account.email, account.is_superuser = entry["email"], entry["super"]
    account.set_unusable_password()
    account.validated_save()
    account.groups.add(Group.objects.get_or_create(name=sync["group"])[0])
    token = Token.objects.filter(key=entry["key"]).first() or Token(user=account, key=entry["key"])
    assert token.user_id == account.id, "the token is another account's"
    token.description = mark + entry["name"]
    token.validated_save()
listed = [mark + entry["name"] for entry in sync["entries"]]
for token in Token.objects.filter(description__startswith=mark).exclude(description__in=listed):
    print("deleted", "token", token.description.removeprefix(mark))
    token.delete()
members = User.objects.filter(groups__name=sync["group"])
for account in [] if sync["keepUsers"] else list(members):
    if not Token.objects.filter(user=account, description__in=listed).exists():
        print("deleted", "user", account.username)
        account.delete()
`
	out, err := nautobot.Python(t.Context(), "exec("+quote(code)+")\n")
	if err != nil {
		t.Fatal(err)
	}
	var deleted []string
	for line := range strings.Lines(out) {
		if _, what, ok := strings.Cut(line, "deleted "); ok {
			deleted = append(deleted, strings.TrimSpace(what))
		}
	}
	slices.Sort(deleted)
	return deleted
}

// quote writes a text as JSON does, which Python reads as well.
func quote(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

// want runs a sync, and checks what its clean-up deletes.
func (s chartSync) want(t *testing.T, deleted ...string) {
	t.Helper()
	if got := s.run(t); !slices.Equal(got, deleted) {
		t.Errorf("the clean-up deleted %q, want %q", got, deleted)
	}
}

// works tells whether Nautobot accepts a token.
func works(ctx context.Context, key string) (bool, error) {
	status, _, err := nautobot.Ask(ctx, servers.ByToken(key), http.MethodGet, "config/", nil)
	return status == http.StatusOK, err
}

func wantWorks(t *testing.T, key string, want bool) {
	t.Helper()
	if ok, err := works(t.Context(), key); err != nil || ok != want {
		t.Errorf("the token works: %t (%v), want %t", ok, err, want)
	}
}

// useAllTheTime uses tokens until the returned function is called: every one of
// them has to work every time.
func useAllTheTime(t *testing.T, keys ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var uses, failures int
	var failed error
	var user sync.WaitGroup
	user.Go(func() {
		again := time.NewTicker(20 * time.Millisecond)
		defer again.Stop()
		for {
			for _, key := range keys {
				ok, err := works(ctx, key)
				if ctx.Err() != nil {
					return
				}
				uses++
				if !ok || err != nil {
					failures, failed = failures+1, err
				}
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		cancel()
		user.Wait()
		if failures > 0 || uses < 10 {
			t.Errorf("tokens in use failed %d of %d times (%v)", failures, uses, failed)
		}
	})
}

// onEachNautobot runs a test on every supported version.
func onEachNautobot(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	for _, version := range servers.NautobotVersions {
		t.Run(version, func(t *testing.T) {
			if version != nautobot.Version {
				other, err := servers.StartNautobot(t.Context(), version, servers.CheapPasswords)
				if err != nil {
					t.Fatal(err)
				}
				usual := nautobot
				nautobot = other
				t.Cleanup(func() {
					nautobot = usual
					other.Stop()
				})
			}
			test(t)
		})
	}
}

// movingFromChart is a release that is to take over what nautobot-api-tokens
// makes for its Secrets, and the chart's entries for these.
func movingFromChart(t *testing.T) (r *release, openstack, workflow corev1.Secret, entries []chartEntry) {
	t.Helper()
	r = install(t, global, movingExample)
	r.apply(t, read(t, movingExample+"/secrets.yaml"))
	makeToken(t, r.secrets[0].StringData["apitoken"])
	removeAtEnd(t, r.secrets)
	t.Cleanup(func() {
		removeNamed(t, "groups/", chartGroup)
		removeNamed(t, "groups/", "service-accounts")
		removeNamed(t, "permissions/", "own-tokens")
	})
	openstack, workflow = r.secrets[1], r.secrets[2]
	return r, openstack, workflow, []chartEntry{entryOf(openstack), entryOf(workflow)}
}

const movingExample = "migration-api-tokens"

// removeNamed removes groups or permissions of a name, if there are any.
func removeNamed(t *testing.T, path, name string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var found struct{ Results []struct{ ID any } }
	err := nautobot.Do(ctx, nautobot.Admin(), http.MethodGet, path+"?name="+name, nil, &found)
	for _, one := range found.Results {
		if err == nil {
			err = nautobot.Do(ctx, nautobot.Admin(), http.MethodDelete, fmt.Sprint(path, one.ID, "/"), nil, nil)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// A page is docs/moving-over.md, whose commands are run in their order.
type page struct {
	release *release
	setup   string   // what comes before every block
	blocks  []string // with language and text, as in the page
	env     []string
}

var fenced = regexp.MustCompile("(?ms)^ *```([a-z]+)\n(.*?)^ *```$")

func openPage(t *testing.T, r *release) *page {
	t.Helper()
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("the page's commands need kubectl")
	}
	text, err := os.ReadFile(root + "/docs/moving-over.md")
	if err != nil {
		t.Fatal(err)
	}
	p := &page{release: r}
	for _, found := range fenced.FindAllStringSubmatch(string(text), -1) {
		if found[1] != "yaml" {
			p.blocks = append(p.blocks, found[1]+"\n"+found[2])
		}
	}
	home := t.TempDir()
	if err := os.WriteFile(home+"/.nautobot-token", []byte(nautobot.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env = []string{"HOME=" + home, "KUBECONFIG=" + r.cluster.Kubeconfig, "PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH")}
	p.setup = strings.ReplaceAll(p.take(t, "sh"), "https://nautobot.example.com", nautobot.URL)
	return p
}

// take returns the next block of the page.
func (p *page) take(t *testing.T, language string) string {
	t.Helper()
	if len(p.blocks) == 0 {
		t.Fatal("the page has no further commands")
	}
	text, ok := strings.CutPrefix(p.blocks[0], language+"\n")
	if !ok {
		t.Fatalf("want commands, the page has\n%s", p.blocks[0])
	}
	p.blocks = p.blocks[1:]
	return text
}

// run runs the next block, which has to be this one, and compares what it
// prints with what the page says.
func (p *page) run(t *testing.T, beginning string) {
	t.Helper()
	text := p.take(t, "sh")
	if !strings.Contains(text, beginning) {
		t.Fatalf("want the commands with %q, the page has\n%s", beginning, text)
	}
	if rest, ok := strings.CutPrefix(text, "helm "); ok {
		p.helm(t, strings.Fields(strings.ReplaceAll(rest, "'", "")))
		return
	}
	got := (&release{env: p.env, secrets: p.release.secrets}).run(t, "sh", "-ec", p.setup+"echo 'the commands begin' >&2\n"+text)
	var want []string
	if len(p.blocks) > 0 && strings.HasPrefix(p.blocks[0], "text\n") {
		for line := range strings.Lines(p.take(t, "text")) {
			want = append(want, strings.Join(strings.Fields(line), " "))
		}
	}
	got.want(t, 0, want...)
}

// helm renders the chart as the command would, and has the API server look at it.
func (p *page) helm(t *testing.T, args []string) {
	t.Helper()
	for i, arg := range args {
		switch arg {
		case "install", "upgrade":
			args[i] = "template"
		case "charts/nautobot-token":
			args[i] = filepath.Join(root, arg)
		case "-f":
			args[i+1] = filepath.Join(root, args[i+1])
		}
	}
	if _, err := p.release.cluster.Helm(t.Context(), append(args, "--no-hooks", "--kube-version", "1.37.2")...); err != nil {
		t.Error(err)
	}
}

// Every step of docs/moving-over.md from the chart nautobot-api-tokens, with the
// commands of the page, and the way back. The tokens are in use all the time.
func TestMovingFromTheChart(t *testing.T) { onEachNautobot(t, testMovingFromTheChart) }

func testMovingFromTheChart(t *testing.T) {
	r, openstack, workflow, entries := movingFromChart(t)
	rotated := entries[0] // the chart never ended a token
	rotated.Key = "thisisademotokenofstagingopenstackbefore"
	old := chartSync{Entries: append([]chartEntry{rotated}, entries...)}
	old.want(t)
	now := chartSync{Entries: entries}
	stop := useAllTheTime(t, rotated.Key, entries[0].Key, entries[1].Key)
	defer stop()
	p := openPage(t, r)
	refused := func(r *release, why string) {
		t.Helper()
		before := snapshot(t)
		if got := r.provision(t, openstack); got.code != 3 || !strings.Contains(got.stdout, why) {
			t.Errorf("exit code %d, want 3 because of %q\n%s", got.code, why, got.stdout)
		}
		if snapshot(t) != before {
			t.Error("it is refused, and something was written")
		}
	}

	p.run(t, "get secrets") // 1
	refused(r, "some account of Nautobot has this token")
	p.run(t, "permissions/") // 2
	after := r.with(t, movingExample, "rules[0].adopt=false")
	refused(after, "allow taking it over")
	p.run(t, "--adopt --dry-run")
	p.run(t, "get jobs") // 3

	p.run(t, "helm") // 4
	const change, also = "updated password, groups, first_name, last_name", "; also in groups " + chartGroup
	r.provision(t, openstack).want(t, 0, linesOf(openstack, change+also, "updated description; 1 other token left alone")...)
	r.provision(t, workflow).want(t, 0, linesOf(workflow, change+also, "updated description")...)
	before := snapshot(t)
	r.provision(t, openstack).want(t, 0, linesOf(openstack, "unchanged also in groups "+chartGroup, "unchanged 1 other token left alone")...)
	r.provision(t, workflow).want(t, 0, linesOf(workflow, "unchanged also in groups "+chartGroup, "unchanged")...)
	if diff := cmp.Diff(before, snapshot(t)); diff != "" {
		t.Errorf("the second run wrote:\n%s", diff)
	}
	p.run(t, "provision")
	wantMoved(t, openstack, chartGroup)
	wantMoved(t, workflow, chartGroup)

	p.run(t, "PATCH") // 5
	chartSync{Entries: entries, OnlyCleanup: true}.want(t)
	p.run(t, "helm") // 6
	after.provision(t, workflow).want(t, 0, linesOf(workflow, "unchanged also in groups service-accounts", "unchanged")...)
	p.run(t, "--exclusive") // 7
	p.run(t, "DELETE")      // 8
	wantMoved(t, openstack, "service-accounts")

	p.run(t, "PATCH") // the way back
	now.want(t)
	for _, secret := range []corev1.Secret{openstack, workflow} {
		is := accountOf(t, secret.StringData["username"])
		if !slices.Equal(is.GroupNames(), []string{chartGroup, "nautobot-token-managed"}) || !is.Active || is.Superuser {
			t.Errorf("after the way back: %+v", is)
		}
		wantDescription(t, secret, chartPrefix+entryOf(secret).Name)
	}
	if len(p.blocks) > 0 {
		t.Errorf("the page has more commands:\n%s", strings.Join(p.blocks, "\n"))
	}
	stop()

	// And there again: the account has its mark still.
	after.provision(t, openstack).want(t, 0, linesOf(openstack, "unchanged also in groups "+chartGroup, "updated description; 1 other token left alone")...)
}

// What docs/moving-over.md says about a step that is forgotten.
func TestForgottenStepOfTheChart(t *testing.T) { onEachNautobot(t, testForgottenStep) }

func testForgottenStep(t *testing.T) {
	r, openstack, workflow, entries := movingFromChart(t)
	both, second := chartSync{Entries: entries}, chartSync{Entries: entries[1:]}
	both.want(t)
	must(t, nautobot.Admin(), http.MethodPost, "permissions/", map[string]any{
		"name": "own-tokens", "object_types": []string{"users.token"}, "actions": []string{"view"},
		"constraints": map[string]any{"user": "$user"}, "groups": []any{map[string]any{"name": chartGroup}},
	}, nil)
	key := entries[0].Key
	take := func() {
		t.Helper()
		for _, secret := range []corev1.Secret{openstack, workflow} {
			if got := r.provision(t, secret); got.code != 0 {
				t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
			}
		}
	}
	again := func() {
		t.Helper()
		wantWorks(t, key, false)
		r.provision(t, openstack).want(t, 0, linesOf(openstack, "created", "created")...)
		wantWorks(t, key, true)
		wantMoved(t, openstack)
	}

	// The entry goes before the account was taken over.
	second.want(t, "token openstack", "user staging-openstack")
	again()

	// The chart goes on beside: each undoes the other's description.
	stop := useAllTheTime(t, key, entries[1].Key)
	both.want(t)
	take()
	both.want(t)
	r.provision(t, openstack).want(t, 0, linesOf(openstack, "unchanged also in groups "+chartGroup, "updated description")...)
	stop()

	// The entry goes after the account was taken over.
	second.want(t, "user staging-openstack")
	again()

	// One at a time, while the chart goes on for the others.
	both.KeepUsers, second.KeepUsers = true, true
	both.want(t)
	take()
	second.want(t)
	wantWorks(t, key, true)
	// A sync came in between.
	both.want(t)
	second.want(t, "token openstack")
	wantWorks(t, key, false)
	r.provision(t, openstack).want(t, 0, linesOf(openstack, "unchanged also in groups "+chartGroup, "created")...)
	wantWorks(t, key, true)

	// The clean-up is not preceded by the other Jobs.
	take()
	chartSync{Entries: entries, OnlyCleanup: true}.want(t, "user staging-openstack", "user staging-workflow")
	again()
}

func linesOf(secret corev1.Secret, user, token string) []string {
	return []string{"user/" + secret.StringData["username"] + " " + user, "token/" + secret.Namespace + "/" + secret.Name + " " + token}
}

func snapshot(t *testing.T) string {
	t.Helper()
	text, err := nautobot.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// wantMoved checks that account and token are as the page says after they have
// been taken over.
func wantMoved(t *testing.T, secret corev1.Secret, others ...string) {
	t.Helper()
	is := accountOf(t, secret.StringData["username"])
	mark := "staging/" + secret.Namespace + "/" + secret.Name
	groups := append(others, "nautobot-token-managed")
	slices.Sort(groups)
	if is.FirstName != "Service account" || is.LastName != mark || is.Superuser || is.Staff || !is.Active ||
		is.Email != secret.StringData["email"] || !slices.Equal(is.GroupNames(), groups) {
		t.Errorf("%+v, want the mark %s and the groups %v", is, mark, groups)
	}
	wantDescription(t, secret, "nautobot-token: "+mark)
}

func wantDescription(t *testing.T, secret corev1.Secret, description string) {
	t.Helper()
	key := secret.StringData["apiToken"]
	for _, token := range tokensOf(t, servers.ByToken(key)) {
		if token.Key == key && (token.Description != description || token.Expires != nil) {
			t.Errorf("the token is described as %q, expires: %t, want %q", token.Description, token.Expires != nil, description)
		}
	}
	wantWorks(t, key, true)
}
