package provision_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// Two runs at once, for the same Secret: whichever order their requests come
// in, both succeed, and Nautobot ends up right. Where both make the same thing
// at the same moment, the loser's answer is a 400 or the database's 500.
func TestEveryInterleavingOfTwoRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute, with the race detector ten")
	}
	t.Parallel()
	for name, prepare := range scenarios {
		for _, lost := range []string{"400", "500"} {
			if lost == "500" && name != "create" && name != "create without a password" {
				continue // the others make nothing that these do not
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
// the newest token nor leave its own behind.
func TestEveryInterleavingWithAnOvertakenRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute, with the race detector five")
	}
	t.Parallel()
	newer := func(w *world) { w.set("token", key("newest")) }
	for _, begin := range []string{"create", "rotate the token", "rotate the token, end the old one at once"} {
		t.Run(begin, func(t *testing.T) {
			t.Parallel()
			explorer{prepare: scenarios[begin], overtake: newer, fault: nautobottest.None()}.explore(t)
		})
	}
}

// explorer runs two runs in every order of their requests.
type explorer struct {
	prepare  func(tb, *world)
	overtake func(*world) // changes the Secret after the first run has read it
	fault    nautobottest.Fault
}

// explore takes a turn at every point where either run could go on. Orders
// that come to a point where both runs have seen the same, and Nautobot is the
// same, as in an order before, are not followed further.
func (e explorer) explore(t *testing.T) {
	t.Helper()
	seen, ends := map[[sha256.Size]byte]bool{}, map[string]bool{}
	orders := 0
	for stack := [][]int{nil}; len(stack) > 0; {
		turns := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		d := e.start(t)
		for i := 0; ; i++ {
			if d.waiting[0] == nil && d.waiting[1] == nil {
				orders++
				if end := fmt.Sprintf("%v %+v", d.errs, d.world.state()); !ends[end] {
					ends[end] = true
					d.check(t, turns)
				}
				break
			}
			turn := 0
			if d.waiting[0] == nil {
				turn = 1
			} else if d.waiting[1] != nil { // a choice
				if i < len(turns) {
					turn = turns[i]
				} else {
					point := d.point()
					if seen[point] {
						break
					}
					seen[point] = true
					stack = append(stack, append(slices.Clone(turns), 1))
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

// duel is two runs whose requests wait for their turn.
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
}

func (e explorer) start(t *testing.T) *duel {
	t.Helper()
	w := newWorld(t)
	w.direct = true
	e.prepare(t, w)
	first := w.current()
	if e.overtake != nil {
		e.overtake(w)
	}
	return newDuel(w, &source{world: w, first: &first}, &source{world: w}, e.fault)
}

// newDuel starts two runs, which wait with their first requests.
func newDuel(w *world, one, two provision.Source, fault nautobottest.Fault) *duel {
	ctx, cancel := context.WithCancel(context.Background())
	d := &duel{world: w, cancel: cancel, fault: fault}
	for i := range 2 {
		d.arrived[i] = make(chan nautobottest.Request)
		d.release[i] = make(chan nautobottest.Fault)
		d.ended[i] = make(chan error, 1)
	}
	w.nautobot.Intercept(func(r nautobottest.Request, _ int) nautobottest.Fault {
		i := 0
		if r.Header.Get("User-Agent") == "two" {
			i = 1
		}
		select {
		case d.arrived[i] <- r:
			return <-d.release[i]
		case <-ctx.Done():
			return nautobottest.Answer(http.StatusTeapot, "text/plain", "")
		}
	})
	sources := []provision.Source{one, two}
	for i, name := range []string{"one", "two"} {
		go func() {
			_, err := w.runAs(ctx, name, sources[i])
			d.ended[i] <- err
		}()
		d.await(i)
	}
	return d
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

// same replaces what chance decides.
func (d *duel) same(text string) string {
	token := d.world.nautobot.Token
	text = strings.NewReplacer(token, "TOKEN", token[len(token)-6:], "TOKEN").Replace(text)
	return varying.ReplaceAllString(text, "ID")
}

var varying = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}(_[0-9a-f]{4})?|"natural_slug": ?"[^"]*"|127\.0\.0\.1:[0-9]+`)

// step lets a run's request be carried out, and notes what the run learns of
// it. With the first request of a round a run forgets what it saw before.
func (d *duel) step(i int) {
	request := d.waiting[i]
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
	d.known[i] += fmt.Sprintf("%s %s %s: %x\n", request.Scheme, request.Method, path, sha256.Sum256([]byte(answer)))
}

// point tells two orders apart as far as it matters from here on.
func (d *duel) point() [sha256.Size]byte {
	next := func(r *nautobottest.Request) string {
		return fmt.Sprintf("%s %s %s %x", r.Scheme, r.Method, d.same(r.Path), sha256.Sum256([]byte(d.same(string(r.Body)))))
	}
	return sha256.Sum256([]byte(fmt.Sprintf("%+v\n%q\n%q\n%s\n%s",
		d.world.state(), d.written, d.known, next(d.waiting[0]), next(d.waiting[1]))))
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

func (d *duel) check(t *testing.T, turns []int) {
	t.Helper()
	d.world.nautobot.Intercept(nil)
	for i, err := range d.errs {
		if err != nil {
			t.Errorf("run %d: %v", i+1, err)
		}
	}
	d.world.mustBeDone(t)
	if t.Failed() {
		t.Logf("turns %v\nrun 1 wrote:\n%srun 1 saw last:\n%s\nrun 2 wrote:\n%srun 2 saw last:\n%s",
			turns, d.written[0], d.known[0], d.written[1], d.known[1])
	}
}
