package provision_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

var errForbidden = errors.New("the API server answered 403: secrets is forbidden")

// thorough: `make thorough` runs what takes too long for every day.
var thorough = os.Getenv("NAUTOBOT_TOKEN_THOROUGH") != ""

// read is a run's read of one Secret of the cluster.
func (w *world) read(ctx context.Context, run, name string) (provision.Secret, error) {
	if w.reading != nil {
		if err := w.reading(ctx, run); err != nil {
			return provision.Secret{}, err
		}
	}
	secret, ok := w.more[name]
	if name == secretName {
		secret, ok = w.current(), !w.gone
	}
	switch {
	case name == secretName && w.forbidden:
		return provision.Secret{}, errForbidden
	case !ok:
		w.saw(run, name, noSecret)
		return provision.Secret{}, fmt.Errorf("read Secret %s: %w", name, provision.ErrNoSecret)
	}
	w.saw(run, name, secret.Data["username"].Reveal())
	return secret, nil
}

func (w *world) saw(run, secret, what string) {
	if w.sights == nil {
		w.sights, w.justSaw = map[sight]string{}, map[string]string{}
	}
	w.sights[sight{run, secret}] = what
	w.justSaw[run] = secret
}

// wrong says what is wrong with a request. An account is taken out of service
// only by a run that has just seen that its Secret is gone, or names another one,
// and that has asked for nothing since.
func (w *world) wrong(r nautobottest.Request) string {
	run := r.Header.Get("User-Agent")
	defer delete(w.justSaw, run)
	id, ok := strings.CutPrefix(strings.TrimSuffix(r.Path, "/"), "/api/users/users/")
	if !ok || r.Safe() {
		return ""
	}
	revived := "revived " + id
	if strings.Contains(string(r.Body), `"is_active":true`) {
		w.saw(run, revived, id)
	}
	for _, user := range w.nautobot.Snapshot().Users { // without IDs
		if user, _ = w.nautobot.User(user.Username); user.ID != id || w.sights[sight{run, revived}] != "" { // a run may take back what it did
			continue
		}
		secret, ours := strings.CutPrefix(user.LastName, w.cluster+"/")
		ours = ours && strings.HasPrefix(user.FirstName, "Service account")
		saw := w.sights[sight{run, secret}]
		switch {
		case !ours && !w.rule.Adopt && len(w.rule.AdoptFrom) == 0:
			return "an account of somebody else is written: " + user.Username
		case ends(r) && (saw == "" || saw == user.Username):
			return "the account is taken out of service, and its Secret was there: " + user.Username
		case ends(r) && w.justSaw[run] != secret:
			return "the account is taken out of service without a last look at its Secret: " + user.Username
		}
	}
	return ""
}

// list is a run's read of all Secrets with the label.
func (w *world) list(ctx context.Context, run string) (secrets []provision.Secret, err error) {
	if w.reading != nil {
		if err := w.reading(ctx, run); err != nil {
			return nil, err
		}
	}
	if !w.gone && !w.unlabelled {
		secrets = append(secrets, w.current())
	}
	for _, name := range slices.Sorted(maps.Keys(w.more)) {
		if w.more[name].Labelled() {
			secrets = append(secrets, w.more[name])
		}
	}
	return secrets, nil
}

// look is any Secret of the cluster, as a run sees it.
type look struct {
	world     *world
	run, name string
}

func (l look) Secret(ctx context.Context) (provision.Secret, error) {
	return l.world.read(ctx, l.run, l.name)
}

func (w *world) sources(run string) func(namespace, name string) provision.Source {
	return func(namespace, name string) provision.Source { return look{w, run, namespace + "/" + name} }
}

// An operation is a run of one of the commands. Its error is everything that
// went wrong.
type operation func(ctx context.Context, w *world, run string) error

func provisionIt(ctx context.Context, w *world, run string) error {
	_, err := w.runAs(ctx, run, &source{world: w, run: run})
	return err
}

func fullSync(ctx context.Context, w *world, run string) error { return w.sync(ctx, run, false, false) }

func quickSync(ctx context.Context, w *world, run string) error { return w.sync(ctx, run, true, false) }

func prune(ctx context.Context, w *world, run string) error { return w.sync(ctx, run, false, true) }

func revoke(ctx context.Context, w *world, run string) error {
	_, err := (&provision.Revocation{Provisioner: w.provisioner(run), Source: w.sources(run)}).Revoke(ctx, "openstack", "nautobot-token")
	return err
}

// revokeSettled is how a Job revokes. A Secret settles at once, so it is looked
// at only once.
func revokeSettled(ctx context.Context, w *world, run string) error {
	r := provision.Revocation{Provisioner: w.provisioner(run), Source: w.sources(run), Settle: 1, Limit: w.limit}
	_, err := r.Revoke(ctx, "openstack", "nautobot-token")
	return err
}

// sync does what the command does.
func (w *world) sync(ctx context.Context, run string, quick, prune bool) error {
	w.ran = true
	var mu sync.Mutex
	var errs []error
	done := func(_ provision.Result, err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	seen := map[string]bool{}
	p := w.provisioner(run)
	s := provision.Sync{Provisioner: p, Quick: quick, Parallel: 1, Source: w.sources(run), Done: done}
	err := s.Run(ctx, func(yield func(provision.Secret) bool) {
		secrets, err := w.list(ctx, run)
		done(provision.Result{}, err)
		for _, secret := range secrets {
			seen[secret.Namespace+"/"+secret.Name] = true
			if !yield(secret) {
				return
			}
		}
	})
	if err == nil && prune {
		r := provision.Revocation{Provisioner: p, Source: w.sources(run), Settle: 1, Limit: w.limit}
		err = r.Prune(ctx, nil, func(namespace, name string) bool { return seen[namespace+"/"+name] }, done)
	}
	return errors.Join(append(errs, err)...)
}

// mustClose has one undisturbed sync --prune put everything right, and checks that
// the next one writes nothing.
func (w *world) mustClose(t tb) {
	t.Helper()
	if err := prune(context.Background(), w, "one"); err != nil {
		t.Fatalf("an undisturbed sync --prune: %v", err)
	}
	w.mustBeClosed(t)
}

// mustBeClosed checks that Nautobot is right about every Secret, there or not,
// and that another sync --prune writes nothing.
func (w *world) mustBeClosed(t tb) {
	t.Helper()
	if w.gone {
		w.checkGone(t, mark)
	} else {
		w.checkAccount(t)
	}
	for _, secret := range w.more {
		user, _ := w.nautobot.User(secret.Data["username"].Reveal())
		if owner := "lab/" + secret.Namespace + "/" + secret.Name; user.LastName != owner || user.Inactive {
			t.Errorf("account of %s: owner %q, inactive %v", owner, user.LastName, user.Inactive)
		}
	}
	before := w.state()
	w.nautobot.ResetRequests()
	if err := prune(context.Background(), w, "one"); err != nil {
		t.Fatalf("another sync --prune: %v", err)
	}
	if writes := w.nautobot.Writes(); len(writes) > 0 {
		t.Errorf("another sync --prune writes: %v", writes)
	}
	if diff := cmp.Diff(before, w.state()); diff != "" {
		t.Errorf("another sync --prune changes Nautobot (-before +after):\n%s", diff)
	}
}

// checkGone: the accounts of a Secret that is gone are out of service, and we did
// it unless a person had done so before.
func (w *world) checkGone(t tb, owner string) {
	t.Helper()
	for _, user := range w.nautobot.Snapshot().Users {
		if user.LastName == owner && strings.HasPrefix(user.FirstName, "Service account") && !user.Inactive {
			t.Errorf("account %q, whose Secret is gone, is in service", user.Username)
		}
	}
}

// put adds a Secret to the cluster.
func (w *world) put(namespace, name, username string) {
	if w.more == nil {
		w.more = map[string]provision.Secret{}
	}
	w.more[namespace+"/"+name] = secretOf(namespace, name, map[string]string{
		"username": username, "password": "password of " + username, "token": key("for-" + username),
	})
}

func (w *world) mustOperate(t tb, operate operation) {
	t.Helper()
	if err := operate(context.Background(), w, "one"); err != nil {
		t.Fatalf("an undisturbed run: %v", err)
	}
}

// An account that may be the superuser token's own is not revoked, and nobody is
// told that all is well.
func TestRevokeOfWhatMayBeTheOwnAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRun(t)
	w.gone = true
	w.nautobot.AddPermission(nautobottest.Permission{
		Name: "accounts only", ObjectTypes: []string{"users.user"}, Actions: []string{"view", "add", "change"}, Groups: []string{"limited"},
	})
	w.nautobot.AddUser(nautobottest.User{Username: "limited", Groups: []string{"limited"}})
	superuser := w.token
	w.token = w.nautobot.AddToken("limited", nautobottest.Token{}).Key
	for name, operate := range map[string]operation{"revoke": revoke, "prune": prune} {
		err := operate(t.Context(), w, "one")
		refusal, ok := errors.AsType[*provision.Refusal](err)
		if user, _ := w.nautobot.User(username); !ok || !strings.Contains(refusal.Error(), "users.view_token") || user.Inactive {
			t.Errorf("%s: error %v, inactive %v", name, err, user.Inactive)
		}
	}
	w.token = superuser
	w.mustOperate(t, revoke)
	w.checkGone(t, mark)
	w.token = w.nautobot.Tokens("limited")[0].Key
	w.mustOperate(t, revoke) // it is revoked already
}

// gone is what revoke and prune may find of a Secret that is gone.
var gone = map[string]func(t tb, w *world){
	"gone": func(t tb, w *world) {
		w.mustRun(t)
		w.gone = true
	},
	"gone, without a password": func(t tb, w *world) {
		w.set("password", "")
		w.mustRun(t)
		w.gone = true
	},
	"gone while its account was open": func(t tb, w *world) {
		w.set("password", "")
		w.mustRun(t)
		w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.FirstName, u.Password = opening, "Aa1-" })
		w.gone = true
	},
	"gone, and two accounts are its": func(t tb, w *world) {
		w.mustRun(t)
		w.nautobot.AddUser(nautobottest.User{Username: "rxdb-lab-nova", Password: "x", FirstName: "Service account", LastName: mark})
		w.gone = true
	},
	"gone, and its account is a superuser": func(t tb, w *world) {
		w.rule.Superuser = true
		w.mustRun(t)
		w.gone = true
	},
	"gone, before it had an account": func(_ tb, w *world) { w.gone = true },
	"gone, and revoked already": func(t tb, w *world) {
		w.mustRun(t)
		w.gone = true
		w.mustOperate(t, revoke)
	},
}

// back is what they may find of a Secret that is there.
var back = map[string]func(t tb, w *world){
	"there": func(t tb, w *world) { w.mustRun(t) },
	"back after its account was revoked": func(t tb, w *world) {
		gone["gone, and revoked already"](t, w)
		w.comeBack()
	},
	"back after its account was revoked, without a password": func(t tb, w *world) {
		gone["gone, without a password"](t, w)
		w.mustOperate(t, revoke)
		w.comeBack()
	},
	"back, with another token": func(t tb, w *world) {
		gone["gone, and revoked already"](t, w)
		w.comeBack()
		w.set("token", key("second"))
		w.set("password", "second password")
	},
}

func (w *world) comeBack() {
	w.gone = false
	w.lives++
}

// among puts a scenario among other Secrets: one that is healthy, one that is
// new, and one that is gone as well.
func among(prepare func(tb, *world)) func(tb, *world) {
	return func(t tb, w *world) {
		for _, name := range []string{"healthy", "gone"} {
			w.put("nova", name, name)
		}
		w.gone = true
		w.mustOperate(t, fullSync)
		w.gone = false
		delete(w.more, "nova/gone")
		w.put("nova", "new", "new")
		prepare(t, w)
	}
}

// rounds are the runs of sync, revoke and prune that meet every fault.
func rounds() map[string]struct {
	prepare func(tb, *world)
	operate operation
} {
	all := map[string]struct {
		prepare func(tb, *world)
		operate operation
	}{}
	add := func(what string, scenarios map[string]func(tb, *world), operate operation) {
		for name, prepare := range scenarios {
			all[what+"/"+name] = struct {
				prepare func(tb, *world)
				operate operation
			}{prepare, operate}
		}
	}
	add("revoke", gone, revoke)
	add("revoke with settle", gone, revokeSettled)
	add("revoke with settle", back, revokeSettled)
	add("sync --prune", map[string]func(tb, *world){
		"gone":                           gone["gone"],
		"gone, and two accounts are its": gone["gone, and two accounts are its"],
		"there, among others":            among(func(t tb, w *world) { w.mustRun(t) }),
		"gone, among others":             among(gone["gone"]),
		"back after its account was revoked, among others": among(back["back after its account was revoked"]),
	}, prune)
	add("sync", back, fullSync)
	add("sync --quick", back, quickSync)
	if thorough {
		add("sync", scenarios, fullSync)
		return all
	}
	for _, name := range []string{"create", "rotate the token without a password", "another account"} {
		add("sync", map[string]func(tb, *world){name: scenarios[name]}, fullSync)
	}
	return all
}

// Whatever happens to any one request of a sync, a revoke or a prune, one sync
// --prune puts everything right.
func TestEveryFaultOfTheLoopHeals(t *testing.T) {
	t.Parallel()
	for name, round := range rounds() {
		undisturbed := newWorld(t)
		undisturbed.direct = true
		round.prepare(t, undisturbed)
		undisturbed.nautobot.ResetRequests()
		undisturbed.mustOperate(t, round.operate)
		requests := len(undisturbed.nautobot.Requests())
		undisturbed.mustClose(t)
		want := undisturbed.state()

		for fault, spoil := range faults {
			if fault == "hangs" && !thorough {
				continue // takes long, and is like "is dropped"
			}
			t.Run(name+"/"+fault, func(t *testing.T) {
				t.Parallel()
				for n := 1; n <= requests; n++ {
					w := newWorld(t)
					w.direct = true
					round.prepare(t, w)
					err := w.operateWith(round.operate, n, fault, spoil)
					if isRefused(err) {
						t.Errorf("request %d: a fault is not a reason to refuse: %v", n, err)
					}
					w.mustClose(t)
					if diff := cmp.Diff(want, w.state()); diff != "" {
						t.Errorf("request %d: end state (-undisturbed +healed):\n%s", n, diff)
					}
				}
			})
		}
	}
}

// operateWith is an operation whose n-th request meets a fault.
func (w *world) operateWith(operate operation, n int, fault string, spoil func(kill func()) nautobottest.Fault) error {
	if fault == "hangs" {
		w.timeout = 50 * time.Millisecond
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	w.nautobot.ResetRequests()
	w.intercept(func(_ nautobottest.Request, number int) nautobottest.Fault {
		if number == n {
			return spoil(func() { cancel(errKilled) })
		}
		return nautobottest.None()
	})
	err := operate(ctx, w, "one")
	w.intercept(nil)
	w.timeout = 0
	return err
}

// Whatever something in front of Nautobot answers to any one kind of request, it
// is never a refusal, and takes nothing out of service whose Secret is there.
func TestForeignAnswersToTheLoop(t *testing.T) {
	t.Parallel()
	for name, round := range rounds() {
		for answer, fault := range foreign {
			// The others are read like these.
			if !thorough && !strings.Contains(answer, "JSON") && !strings.Contains(answer, "200") {
				continue
			}
			t.Run(name+"/"+answer, func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					w := newWorld(t)
					w.direct = true
					round.prepare(t, w)
					before := w.inService()
					w.nautobot.ResetRequests()
					met, kind := false, ""
					w.intercept(func(r nautobottest.Request, number int) nautobottest.Fault {
						if wrong := w.wrong(r); wrong != "" {
							t.Errorf("request %d: %s", n, wrong)
						}
						if number == n {
							met, kind = true, r.Method+" "+r.Path
						}
						if kind != r.Method+" "+r.Path {
							return nautobottest.None()
						}
						return fault
					})
					err := round.operate(t.Context(), w, "one")
					w.intercept(nil)
					if !met {
						return
					}
					if isRefused(err) {
						t.Errorf("request %d, %s: refused: %v", n, kind, err)
					}
					w.checkInService(t, before)
					w.mustClose(t)
				}
			})
		}
	}
}

// inService are the accounts that are active and whose Secrets are there.
func (w *world) inService() (names []string) {
	there := map[string]bool{}
	for _, secret := range w.more {
		there[secret.Data["username"].Reveal()] = true
	}
	there[w.secret["username"]] = !w.gone
	for _, user := range w.nautobot.Snapshot().Users {
		if there[user.Username] && !user.Inactive {
			names = append(names, user.Username)
		}
	}
	return names
}

// checkInService: those that were in service, and whose Secrets are there, are.
func (w *world) checkInService(t tb, before []string) {
	t.Helper()
	after := w.inService()
	for _, name := range before {
		if !contains(after, name) {
			t.Errorf("account %q is out of service, and its Secret is there", name)
		}
	}
}

// A read of a Secret that fails is not the news that the Secret is gone: what
// is revoked was known to be gone before, and the next sync --prune does the rest.
func TestSecretsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, round := range rounds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, failed := 1, true; failed; n++ {
				w := newWorld(t)
				w.direct = true
				round.prepare(t, w)
				before := w.inService()
				reads := 0
				failed = false
				w.reading = func(context.Context, string) error {
					reads++
					if failed = failed || reads >= n; failed {
						return errForbidden
					}
					return nil
				}
				w.intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
					if wrong := w.wrong(r); wrong != "" {
						t.Errorf("read %d fails: %s", n, wrong)
					}
					return nautobottest.None()
				})
				err := round.operate(t.Context(), w, "one")
				w.intercept(nil)
				w.reading = nil
				if failed != (err != nil) || isRefused(err) {
					t.Errorf("read %d fails: error %v", n, err)
				}
				w.checkInService(t, before)
				w.mustClose(t)
			}
		})
	}
}

// intercept has f decide the fate of requests; nil: of none.
func (w *world) intercept(f func(r nautobottest.Request, n int) nautobottest.Fault) {
	watch := w.watch
	if watch == nil {
		w.nautobot.Intercept(f)
		return
	}
	w.nautobot.Intercept(func(r nautobottest.Request, n int) nautobottest.Fault {
		watch(r)
		if f == nil {
			return nautobottest.None()
		}
		return f(r, n)
	})
}

// ends reports whether a request takes an account out of service.
func ends(r nautobottest.Request) bool {
	return r.Method == http.MethodDelete && strings.HasPrefix(r.Path, "/api/users/users/") || strings.Contains(string(r.Body), `"is_active":false`)
}

// What the loop costs.
func TestRequestsOfTheLoop(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare   func(tb, *world)
		operate   operation
		requests  int // at most
		passwords int // of these requests make the server hash
	}{
		"a healthy Secret":                      {fleet(1), fullSync, 1 + 1, 1},
		"a healthy Secret, --quick":             {fleet(1), quickSync, 1 + 1, 0},
		"200 healthy Secrets":                   {fleet(200), fullSync, 200 + 200/36 + 1, 200},
		"200 healthy Secrets, --quick":          {fleet(200), quickSync, 200 + 200/36 + 1, 0},
		"healthy Secrets, and nothing to prune": {fleet(30), prune, 30 + 1 + 1, 30},
		"a Secret that is gone":                 {gone["gone"], revoke, 4, 0},
		"a Secret that is gone and has settled": {gone["gone"], revokeSettled, 4, 0},
		"a Secret that is there after all":      {back["there"], revokeSettled, 1, 0},
		"a Secret that is revoked already":      {gone["gone, and revoked already"], revoke, 2, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.direct = true
			test.prepare(t, w)
			w.nautobot.ResetRequests()
			w.mustOperate(t, test.operate)
			requests, passwords := w.nautobot.Requests(), 0
			for _, r := range requests {
				if r.Scheme == "Basic" {
					passwords++
				}
			}
			if len(requests) > test.requests || passwords != test.passwords {
				t.Errorf("%d requests, %d with a password, want at most %d and %d", len(requests), passwords, test.requests, test.passwords)
			}
		})
	}
}

// fleet is n Secrets, all of which are healthy.
func fleet(n int) func(tb, *world) {
	return func(t tb, w *world) {
		w.gone = true
		for i := range n {
			name := fmt.Sprintf("rxdb-lab-%03d", i)
			w.put("nova", "nautobot-token-of-"+name, name)
		}
		w.mustOperate(t, fullSync)
	}
}

// A revoke may come between a run's look at an account and its write of the
// first name, where the revoke left its mark. The account must not look as if a
// person had deactivated it: it comes back with its Secret.
func TestMarkOfARevokeStays(t *testing.T) {
	t.Parallel()
	for name, returns := range map[string]bool{"the Secret stays away": false, "the Secret is back at once": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, met := 1, true; met; n++ {
				w := newWorld(t)
				w.direct = true
				scenarios["rotate the token without a password"](t, w)
				met = false
				writes := 0
				w.intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
					if strings.Contains(string(r.Body), `"first_name"`) {
						writes++
					}
					if !met && writes == n {
						met, w.gone = true, true
						w.nautobot.UpdateUser(username, func(u *nautobottest.User) { u.Inactive, u.FirstName = true, "Service account (revoked)" })
						if returns {
							w.comeBack()
						}
					}
					return nautobottest.None()
				})
				err := provisionIt(t.Context(), w, "one")
				w.intercept(nil)
				user, _ := w.nautobot.User(username)
				if met && w.gone && (!user.Inactive || user.FirstName != "Service account (revoked)") {
					t.Errorf("write %d: first name %q, inactive %v", n, user.FirstName, user.Inactive)
				}
				if returns && err != nil {
					t.Errorf("write %d: %v", n, err)
				}
				if w.gone {
					w.comeBack()
				}
				w.mustClose(t)
			}
		})
	}
}
