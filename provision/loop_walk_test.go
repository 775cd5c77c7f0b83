package provision_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// Random walks with sync, revoke and prune in them: Secrets go and come back,
// lose their label or may not be read, the policy stops saying revoke, runs
// come and fail, one after another and two at once, and people work on Nautobot
// by hand. No run ends an account without having seen that its Secret is gone,
// none touches what is somebody else's, and one undisturbed sync --prune puts
// everything right. The walks take every edge of the picture in CONTRIBUTING.md.
func TestWalksOfTheLoop(t *testing.T) {
	t.Parallel()
	taken := edges{count: map[string]int{}}
	walks := func(t *testing.T) {
		for i := range 6 { // some 18,000 steps in all
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				rapid.Check(t, func(t *rapid.T) {
					w := makeWorld()
					defer w.nautobot.Close()
					w.direct = true
					walkLoop(t, w, &taken)
				})
			})
		}
	}
	// One round takes the rarest edge some ten times; if by chance it leaves one
	// out, another round takes it.
	for range 4 {
		if !t.Run("walks", walks) || testing.Short() || len(taken.missing(t)) == 0 {
			break
		}
	}
	t.Log(taken.count)
	if left := taken.missing(t); len(left) > 0 && !testing.Short() {
		t.Errorf("no walk takes the edges %q", left)
	}
}

// edges are changes of an account's state, counted.
type edges struct {
	mu    sync.Mutex
	count map[string]int
}

func (e *edges) take(edge string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count[edge]++
}

// missing are the edges of the picture that no walk has taken, and those by which
// an account is revoked while its Secret is gone, or names another account.
func (e *edges) missing(t *testing.T) []string {
	t.Helper()
	all := append(picture(t), "active --> revoked, gone", "active --> revoked, names another", "opening --> revoked, gone", "opening --> revoked, names another")
	return slices.DeleteFunc(all, func(edge string) bool { return e.count[edge] > 0 })
}

// picture returns the edges of the states of an account in CONTRIBUTING.md.
func picture(t *testing.T) (edges []string) {
	t.Helper()
	text, err := os.ReadFile("../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, states, _ := strings.Cut(string(text), "stateDiagram-v2\n")
	states, _, _ = strings.Cut(states, "```")
	for _, match := range regexp.MustCompile(`(?m)^ +(\S+) --> (\S+?)(:.*)?$`).FindAllStringSubmatch(states, -1) {
		edges = append(edges, strings.ReplaceAll(match[1]+" --> "+match[2], "[*]", "absent"))
	}
	if len(edges) < 14 {
		t.Fatalf("the picture has only the edges %q", edges)
	}
	return edges
}

// stateOf says in which state of the picture an account is.
func (w *world) stateOf(username string) string {
	user, ok := w.nautobot.User(username)
	switch {
	case !ok:
		return "absent"
	case user.LastName != mark || !strings.HasPrefix(user.FirstName, "Service account"):
		return "foreign"
	case user.Inactive && user.FirstName == "Service account (revoked)":
		return "revoked"
	case user.Inactive:
		return "deactivated"
	case user.FirstName == opening:
		return "opening"
	}
	return "active"
}

// loopWalk is what a walk knows besides its world.
type loopWalk struct {
	*world
	usernames []string // that the Secret may have
	states    map[string]string
	taken     *edges
}

// track counts the edges that were taken since the last time.
func (w *loopWalk) track() {
	for _, name := range w.usernames {
		before, now := cmp.Or(w.states[name], "absent"), w.stateOf(name)
		if before == now {
			continue
		}
		w.states[name] = now
		w.taken.take(before + " --> " + now)
		switch {
		case now != "revoked":
		case w.gone:
			w.taken.take(before + " --> revoked, gone")
		case w.secret["username"] != name:
			w.taken.take(before + " --> revoked, names another")
		}
	}
}

// foreigners are accounts that are nobody's business.
func (w *world) foreigners() (users []nautobottest.User) {
	for _, user := range w.state().Users {
		if slices.Contains([]string{"site", "long", "ann"}, user.Username) {
			users = append(users, user)
		}
	}
	return users
}

// stopped reports whether only a person can get a run for the Secret going again.
func (w *loopWalk) stopped() bool {
	name := w.secret["username"]
	user, ok := w.nautobot.User(name)
	foreign := user.LastName != mark
	if ok && (user.Inactive && user.FirstName != "Service account (revoked)" || foreign && !w.rule.Adopt || w.stateOf(name) == "foreign" && !foreign) {
		return true
	}
	return slices.ContainsFunc(w.usernames, func(other string) bool {
		return (other != name || foreign) && slices.ContainsFunc(w.nautobot.Tokens(other), func(token nautobottest.Token) bool {
			return token.Key == w.secret["token"]
		})
	})
}

func walkLoop(t *rapid.T, plain *world, taken *edges) {
	w := &loopWalk{world: plain, usernames: []string{username, "rxdb-lab-nova"}, states: map[string]string{}, taken: taken}
	keys := []string{key("first"), key("second"), key("third")}
	passwords := []string{"first password", "second password", "third password", ""}
	kinds := slices.DeleteFunc(slices.Sorted(maps.Keys(faults)), func(kind string) bool { return kind == "hangs" }) // takes too long
	operations := map[string]operation{
		"provision": provisionIt, "sync": fullSync, "quick sync": quickSync, "prune": prune, "revoke": revoke, "revoke with settle": revokeSettled,
	}
	names := slices.Sorted(maps.Keys(operations))
	others := []string{"a", "b", "c", "d"}

	w.limit = 2
	w.cluster = "site" // another cluster, with a Secret of the same name
	w.mustRunFor(t, fixed(secretOf("openstack", "nautobot-token", map[string]string{"username": "site", "password": "of the site", "token": key("site")})))
	w.cluster = "lab"
	w.nautobot.AddUser(nautobottest.User{Username: "long", FirstName: "Service account", LastName: "lab/openstack/long~0123456789abcdef", Password: "x"})
	w.nautobot.AddUser(nautobottest.User{Username: "ann", FirstName: "Ann", LastName: "lab/openstack/a", Password: "x"})
	for _, name := range others {
		w.put("openstack", name, name)
	}
	for _, name := range []string{"e", "f", "g"} { // so that what is gone is seldom most of all
		w.put("nova", name, name)
	}
	w.mustOperate(t, fullSync)
	foreigners := w.foreigners()
	w.track()
	broken := ""
	w.watch = func(r nautobottest.Request) {
		w.track()
		if wrong := w.wrong(r); wrong != "" {
			broken = wrong
		}
	}
	w.intercept(nil)

	byHand := func(change func(*nautobottest.User)) func(*rapid.T) {
		return func(t *rapid.T) {
			name := rapid.SampledFrom(w.usernames).Draw(t, "username")
			if w.stateOf(name) == "absent" {
				t.Skip("there is no account")
			}
			w.nautobot.UpdateUser(name, change)
		}
	}
	seldom := func(flag *bool, value bool) func(*rapid.T) {
		return func(t *rapid.T) { *flag = value == (rapid.IntRange(0, 3).Draw(t, "one in four") == 0) }
	}
	run := func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "run")
		before := w.revoked()
		err := operations[name](context.Background(), w.world, "one")
		w.checkRun(t, name, err)
		if n := w.revoked() - before; (name == "prune" || name == "revoke with settle") && n > w.limit {
			t.Errorf("%s: the accounts of %d Secrets are revoked, more than the limit", name, n)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			w.track()
			w.checkOwners(t)
			if diff := gocmp.Diff(foreigners, w.foreigners()); diff != "" {
				t.Fatalf("accounts of somebody else (-before +after):\n%s", diff)
			}
			if broken != "" {
				t.Fatal(broken)
			}
		},
		"the Secret goes or comes back": func(*rapid.T) {
			if w.gone {
				w.comeBack()
			} else {
				w.gone = true
			}
		},
		"the Secret loses or gets its label":   seldom(&w.unlabelled, true),
		"the right to read the Secret goes":    seldom(&w.forbidden, true),
		"the policy says revoke, or no longer": seldom(&w.rule.Revoke, false),
		"the policy says adopt, or no longer":  seldom(&w.rule.Adopt, false),
		"the Secret gets another token":        func(t *rapid.T) { w.set("token", rapid.SampledFrom(keys).Draw(t, "token")) },
		"the Secret gets another password":     func(t *rapid.T) { w.set("password", rapid.SampledFrom(passwords).Draw(t, "password")) },
		"the Secret names another account":     func(t *rapid.T) { w.set("username", rapid.SampledFrom(w.usernames).Draw(t, "username")) },
		"another Secret goes or comes back": func(t *rapid.T) {
			name := rapid.SampledFrom(others).Draw(t, "name")
			if _, ok := w.more["openstack/"+name]; ok {
				delete(w.more, "openstack/"+name)
			} else {
				w.put("openstack", name, name)
			}
		},
		"a run":        run,
		"one more run": run,
		"and one more": run,
		"a run is killed while the account is open": func(t *rapid.T) {
			w.set("password", "")
			w.set("token", rapid.SampledFrom(keys).Draw(t, "token"))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			w.intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
				if r.Method == http.MethodPost && r.Path == "/api/users/tokens/" {
					return faults["is the last before the process is killed"](cancel)
				}
				return nautobottest.None()
			})
			_ = provisionIt(ctx, w.world, "one")
			w.intercept(nil)
			w.set("password", rapid.SampledFrom(passwords).Draw(t, "password"))
		},
		"the Secret goes, and comes back after a run": func(t *rapid.T) {
			w.gone = true
			run(t)
			w.comeBack()
			run(t)
		},
		"the Secret names the other account, and a run": func(t *rapid.T) {
			w.set("username", w.usernames[0])
			if rapid.Bool().Draw(t, "second") {
				w.set("username", w.usernames[1])
			}
			w.set("token", rapid.SampledFrom(keys).Draw(t, "token"))
			run(t)
		},
		"a run that meets a fault": func(t *rapid.T) {
			n, kind := rapid.IntRange(1, 12).Draw(t, "request"), rapid.SampledFrom(kinds).Draw(t, "fault")
			name := rapid.SampledFrom(names).Draw(t, "run")
			_ = w.operateWith(operations[name], n, kind, faults[kind])
		},
		"two runs at once": func(t *rapid.T) {
			one, two := rapid.SampledFrom(names).Draw(t, "one"), rapid.SampledFrom(names).Draw(t, "two")
			e := explorer{runs: []operation{operations[one], operations[two]}}
			if rapid.Bool().Draw(t, "the Secret goes or comes back") {
				e.events = []func(*world){comesBack}
				if !w.gone {
					e.events = []func(*world){goes, comesBack}
				}
			}
			d := e.begin(w.world, e.runs[0], e.runs[1])
			for choice := d.choice(); len(choice) > 0; choice = d.choice() {
				d.step(rapid.SampledFrom(choice).Draw(t, "turn"))
			}
			d.cancel()
			w.intercept(nil)
			w.reading = nil
		},
		"somebody makes an account of the name": func(t *rapid.T) {
			name := rapid.SampledFrom(w.usernames).Draw(t, "username")
			if w.stateOf(name) != "absent" {
				w.nautobot.DeleteUser(name)
				w.track()
			}
			w.nautobot.AddUser(nautobottest.User{Username: name, Password: "by hand"})
		},
		"somebody deletes the account": func(t *rapid.T) { w.nautobot.DeleteUser(rapid.SampledFrom(w.usernames).Draw(t, "username")) },
		"somebody deactivates or activates the account": byHand(func(u *nautobottest.User) {
			if u.FirstName != "Service account (revoked)" {
				u.Inactive = !u.Inactive
			}
		}),
		"somebody sets another password": byHand(func(u *nautobottest.User) { u.Password, w.left = "by hand", true }),
		"time passes": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 120).Draw(t, "minutes")) * time.Minute)
		},
		"sync --prune that nothing disturbs, and one more": func(t *rapid.T) {
			if w.unlabelled || !w.gone && w.stopped() {
				t.Skip("runs refuse, or leave the Secret alone")
			}
			forbidden, says, limit := w.forbidden, w.rule.Revoke, w.limit
			w.forbidden, w.rule.Revoke, w.limit = false, true, 0
			w.mustClose(t)
			w.forbidden, w.rule.Revoke, w.limit = forbidden, says, limit
		},
	})
}

// revoked is how many Secrets are gone and have accounts that are revoked.
func (w *world) revoked() int {
	owners := map[string]bool{}
	for _, user := range w.nautobot.Snapshot().Users {
		if user.Inactive && user.FirstName == "Service account (revoked)" && (user.LastName != mark || w.gone) {
			owners[user.LastName] = true
		}
	}
	return len(owners)
}

// checkRun: a run that nothing disturbs fails only for a reason.
func (w *loopWalk) checkRun(t *rapid.T, name string, err error) {
	t.Helper()
	text := fmt.Sprint(err)
	switch has := func(part string) bool { return strings.Contains(text, part) }; {
	case err == nil:
	case w.forbidden && errors.Is(err, errForbidden):
	case w.gone && name == "provision" && errors.Is(err, provision.ErrNoSecret):
	case !w.gone && name == "revoke" && has("the Secret is there"):
	case !w.rule.Revoke && has("revoke: true"):
	case w.unlabelled && has("label"):
	case has("more than --limit"): // how many there may be is checked separately
	case !w.gone && w.stopped() && (isRefused(err) || has("after ")):
	default:
		t.Errorf("%s: %v", name, err)
	}
}
