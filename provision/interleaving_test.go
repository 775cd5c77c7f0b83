package provision_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// Two runs at once, for the same Secret: in whatever order their requests come,
// both succeed, and Nautobot ends up right. If both create the same thing at the
// same moment, the loser's answer is a 400 or the database's 500.
func TestEveryInterleavingOfTwoRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute, with the race detector ten")
	}
	t.Parallel()
	for name, prepare := range scenarios {
		for _, lost := range []string{"400", "500"} {
			if lost == "500" && name != "create" && name != "create without a password" {
				continue // the others create nothing that these do not
			}
			t.Run(name+", the loser of a race gets "+lost, func(t *testing.T) {
				t.Parallel()
				e := explorer{prepare: prepare, fault: nautobottest.None()}
				if lost == "500" {
					e.fault = nautobottest.LoseRace()
				}
				e.explore(t)
			})
		}
	}
}

// A run that was started for an older version of the Secret may neither end
// the newest token nor leave its own behind, and never takes the newest account
// out of service.
func TestEveryInterleavingWithAnOvertakenRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute, with the race detector five")
	}
	t.Parallel()
	token := func(w *world) { w.set("token", key("newest")) }
	account := func(w *world) { w.set("username", "rxdb-lab-newest"); token(w) }
	password := func(w *world) { w.set("password", "newest password") }
	noPassword := func(w *world) { w.set("password", ""); w.left = true }
	for _, test := range []struct {
		begin, what string
		newer       func(*world)
	}{
		{"create", "token", token},
		{"rotate the token", "token", token},
		{"rotate the token, end the old one at once", "token", token},
		{"create", "account", account},
		{"rotate the token", "account", account},
		{"another account", "account", account},
		{"rotate the password", "password", password},
		{"rotate the token", "password", password},
		{"create without a password", "password", password},
		{"create", "no password", noPassword},
		{"rotate the token", "no password", noPassword},
	} {
		t.Run(test.begin+", overtaken by another "+test.what, func(t *testing.T) {
			t.Parallel()
			explorer{prepare: scenarios[test.begin], overtake: test.newer, fault: nautobottest.None()}.explore(t)
		})
	}
}

// Two Secrets may take the same account over: whichever has it at the end, the
// other's token does not open it.
func TestEveryInterleavingOfTwoSecretsForOneAccount(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute, with the race detector five")
	}
	t.Parallel()
	for begin, prepare := range map[string]func(tb, *world){
		"an account made by hand": func(_ tb, w *world) {
			w.nautobot.AddUser(nautobottest.User{Username: username, Password: "by hand"})
		},
		"an account that its Secret gave up": func(t tb, w *world) {
			third := secretOf("third", "x", map[string]string{"username": username, "password": "third", "token": key("third")})
			w.mustRunFor(t, fixed(third))
			third = secretOf("third", "x", map[string]string{"username": "third", "password": "third", "token": key("fourth")})
			w.mustRunFor(t, fixed(third))
		},
		"no account yet": func(tb, *world) {},
	} {
		for _, apiOnly := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, for the API only: %v", begin, apiOnly), func(t *testing.T) {
				t.Parallel()
				explorer{
					prepare: func(t tb, w *world) {
						w.mustRunFor(t, fixed(secretOf("somebody", "x", map[string]string{"username": "somebody", "token": key("somebody")})))
						prepare(t, w)
						w.rule.Adopt = true
						if apiOnly {
							w.set("password", "")
						}
					},
					other: other(username), fault: nautobottest.None(),
				}.explore(t)
			})
		}
	}
}

// explorer runs two runs in every order of their requests.
type explorer struct {
	prepare  func(tb, *world)
	overtake func(*world)     // changes the Secret after the first run has read it
	other    provision.Source // of the second run; nil: the same Secret
	fault    nautobottest.Fault
	runs     []operation // nil: both provision
	// events happen to the Secret, in this order and at any time: reads of
	// Secrets wait for their turn as well.
	events []func(*world)
	lists  bool // one of the runs is prune
}

// explore takes a turn at every point where either run could go on. It does not
// follow an order past a point that an earlier order has reached: where both runs
// have seen the same, and Nautobot is the same.
func (e explorer) explore(t *testing.T) {
	t.Helper()
	seen, ends := map[[sha256.Size]byte]bool{}, map[string]bool{}
	orders := 0
	for stack := [][]int{nil}; len(stack) > 0; {
		turns := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		d := e.start(t)
		for i := 0; ; i++ {
			choice := d.choice()
			if len(choice) == 0 {
				orders++
				if end := d.end(); !ends[end] {
					ends[end] = true
					d.check(t, turns)
				}
				break
			}
			turn := choice[0]
			if i < len(turns) {
				turn = turns[i]
			} else if len(choice) > 1 {
				point := d.point()
				if seen[point] {
					break
				}
				seen[point] = true
				for _, other := range choice[1:] {
					stack = append(stack, append(slices.Clone(turns), other))
				}
			}
			if i >= len(turns) {
				turns = append(turns, turn)
			}
			d.step(turn)
		}
		d.stop()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d points, %d orders, %d ends", len(seen), orders, len(ends))
}

// duel is two runs whose requests wait for their turn, and so do the events.
type duel struct {
	world   *world
	cancel  context.CancelFunc
	waiting [2]*nautobottest.Request // nil: the run has ended
	written [2]string                // what it wrote and how that was answered
	known   [2]string                // what it saw since it last began to look
	errs    [2]error
	arrived [2]chan nautobottest.Request
	release [2]chan nautobottest.Fault
	ended   [2]chan error
	fault   nautobottest.Fault
	events  []func(*world)
	fresh   [2]bool // saw the Secret after the last event
	loop    bool    // not both runs are provision's
	lists   bool    // one of them is prune
	two     bool    // the runs are for two Secrets
	broken  string  // what should never happen, and did
}

func (e explorer) start(t *testing.T) *duel {
	t.Helper()
	w := makeWorld() // stop closes it: a cleanup would keep every world until the end
	w.direct = true
	e.prepare(t, w)
	if e.runs != nil {
		return e.begin(w, e.runs[0], e.runs[1])
	}
	first := w.current()
	if e.overtake != nil {
		e.overtake(w)
	}
	if e.other != nil {
		return e.begin(w, provisionIt, provisionFrom(e.other))
	}
	return e.begin(w, provisionFrom(&source{world: w, first: &first}), provisionIt)
}

func provisionFrom(source provision.Source) operation {
	return func(ctx context.Context, w *world, run string) error {
		_, err := w.runAs(ctx, run, source)
		return err
	}
}

// begin starts two runs, which wait with their first requests.
func (e explorer) begin(w *world, one, two operation) *duel {
	ctx, cancel := context.WithCancel(context.Background())
	d := &duel{world: w, cancel: cancel, fault: e.fault, events: e.events, loop: e.runs != nil, lists: e.lists, two: e.other != nil}
	for i := range 2 {
		d.arrived[i] = make(chan nautobottest.Request)
		d.release[i] = make(chan nautobottest.Fault)
		d.ended[i] = make(chan error, 1)
	}
	arrive := func(run string, r nautobottest.Request) nautobottest.Fault {
		i := 0
		if run == "two" {
			i = 1
		}
		select {
		case d.arrived[i] <- r:
			return <-d.release[i]
		case <-ctx.Done():
			return nautobottest.Answer(http.StatusTeapot, "text/plain", "")
		}
	}
	w.intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		if wrong := d.wrong(r); wrong != "" {
			d.broken = wrong
		}
		return arrive(r.Header.Get("User-Agent"), r)
	})
	if len(e.events) > 0 {
		w.reading = func(_ context.Context, run string) error {
			arrive(run, nautobottest.Request{Method: http.MethodGet, Path: readSecret})
			return nil
		}
	}
	operations := []operation{one, two}
	for i, name := range []string{"one", "two"} {
		go func() { d.ended[i] <- operations[i](ctx, w, name) }()
		d.await(i)
	}
	return d
}

// readSecret is the path of a request that goes to Kubernetes.
const readSecret = "secret"

// event is a turn of neither run.
const event = 2

// choice returns whose turn it may be.
func (d *duel) choice() (turns []int) {
	for i, waiting := range d.waiting {
		if waiting != nil {
			turns = append(turns, i)
		}
	}
	if len(d.events) > 0 {
		turns = append(turns, event)
	}
	return turns
}

// wrong says what should never have happened.
func (d *duel) wrong(r nautobottest.Request) string {
	if d.two {
		return ""
	}
	if d.loop {
		return d.world.wrong(r)
	}
	newest, _ := d.world.nautobot.User(d.world.secret["username"])
	if newest.ID != "" && strings.HasSuffix(r.Path, newest.ID+"/") && ends(r) {
		return "the account that the Secret names now is deactivated"
	}
	return ""
}

// await waits until a run asks for something or has ended.
func (d *duel) await(i int) {
	select {
	case request := <-d.arrived[i]:
		d.waiting[i] = &request
	case d.errs[i] = <-d.ended[i]:
		d.waiting[i] = nil
	}
}

// same replaces what is random.
func (d *duel) same(text string) string {
	token := d.world.nautobot.Token
	text = strings.NewReplacer(token, "TOKEN", token[len(token)-6:], "TOKEN").Replace(text)
	return varying.ReplaceAllString(text, "ID")
}

var varying = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}(_[0-9a-f]{4})?|"natural_slug": ?"[^"]*"|127\.0\.0\.1:[0-9]+`)

// step lets a run's request be carried out, and notes what the run learns from
// it. With the first request of a round, a run forgets what it saw before.
func (d *duel) step(i int) {
	if i == event {
		d.events[0](d.world)
		d.events, d.fresh = d.events[1:], [2]bool{}
		return
	}
	request := d.waiting[i]
	if request.Path == readSecret {
		w := d.world
		d.written[i] += fmt.Sprintf("read the Secret: gone %v, version %d.%d\n", w.gone, w.lives, w.version)
		d.fresh[i] = len(d.events) == 0 && !w.gone
		d.release[i] <- nautobottest.None()
		d.await(i)
		return
	}
	first := d.known[i] == ""
	if strings.Contains(request.RawQuery, "last_name=") {
		d.known[i] = ""
	}
	path := d.same(request.Path)
	if !request.Safe() {
		d.release[i] <- d.fault
		d.await(i)
		d.written[i] += fmt.Sprintf("%s %s\n", request.Method, path)
		return
	}
	var answer string
	d.release[i] <- nautobottest.Substitute(func(body string) string {
		answer = d.same(body)
		return body
	})
	d.await(i)
	line := fmt.Sprintf("%s %s %s: %x\n", request.Scheme, request.Method, path, sha256.Sum256([]byte(answer)))
	// What sync begins with is not forgotten, and what prune goes through one by one.
	if d.loop && first || strings.Contains(request.RawQuery, "last_name__isw=") {
		d.written[i] += line
	}
	d.known[i] += line
}

// point tells two orders apart as far as it matters from here on.
func (d *duel) point() [sha256.Size]byte {
	next := func(r *nautobottest.Request) string {
		if r == nil {
			return "ended"
		}
		return fmt.Sprintf("%s %s %s?%s %x", r.Scheme, r.Method, d.same(r.Path), r.RawQuery, sha256.Sum256([]byte(d.same(string(r.Body)))))
	}
	return sha256.Sum256([]byte(fmt.Sprintf("%+v\n%d\n%q\n%q\n%s\n%s",
		d.world.state(), len(d.events), d.written, d.known, next(d.waiting[0]), next(d.waiting[1]))))
}

func (d *duel) stop() {
	d.cancel()
	for i := range 2 {
		if d.waiting[i] != nil {
			d.release[i] <- nautobottest.Answer(http.StatusTeapot, "text/plain", "")
			<-d.ended[i]
		}
	}
	d.world.nautobot.Close()
}

// end tells two ends apart.
func (d *duel) end() string {
	return fmt.Sprintf("%v %+v %v %s", d.errs, d.world.state(), d.fresh, d.broken)
}

func (d *duel) check(t *testing.T, turns []int) {
	t.Helper()
	d.world.intercept(nil)
	d.world.reading = nil
	defer func() { // a check may end the test
		if t.Failed() {
			t.Logf("turns %v\nrun 1: %v, wrote:\n%srun 1 saw last:\n%s\nrun 2: %v, wrote:\n%srun 2 saw last:\n%s",
				turns, d.errs[0], d.written[0], d.known[0], d.errs[1], d.written[1], d.known[1])
		}
	}()
	if d.broken != "" {
		t.Error(d.broken)
	}
	switch {
	case d.two:
		d.checkTwo(t)
	case d.loop:
		d.checkLoop(t)
	default:
		for i, err := range d.errs {
			if err != nil {
				t.Errorf("run %d: %v", i+1, err)
			}
		}
		d.world.mustBeDone(t)
	}
}

// checkTwo: the account is one Secret's, whose run succeeded.
func (d *duel) checkTwo(t *testing.T) {
	t.Helper()
	user, _ := d.world.nautobot.User(username)
	i := 0
	if user.LastName == "lab/nova/nautobot-token" {
		i = 1
	} else if user.LastName != mark {
		t.Errorf("the account is neither's: %q", user.LastName)
	}
	if d.errs[i] != nil { // the loser was in its way, which it is not in another run's
		if refused := (*provision.Refusal)(nil); errors.As(d.errs[i], &refused) {
			t.Errorf("run %d, whose the account is: %v", i+1, d.errs[i])
		}
		if i == 0 {
			d.world.mustRun(t)
		} else {
			d.world.mustRunFor(t, other(username))
		}
		user, _ = d.world.nautobot.User(username)
	}
	d.world.checkOwners(t)
	if user.Inactive || user.FirstName != "Service account" {
		t.Errorf("the account is %q, inactive: %v", user.FirstName, user.Inactive)
	}
	passwords := []string{d.world.secret["password"], "password of another tenant"}
	if user.Password != "" && user.Password != passwords[i] {
		t.Errorf("the account is run %d's, and has another password", i+1)
	}
	if i == 0 {
		d.world.mustRun(t) // the loser may have cleared the password that it overwrote
		d.world.mustBeDone(t)
	} else if len(d.world.nautobot.Tokens(username)) == 0 {
		t.Error("the account has no token")
	}
}
