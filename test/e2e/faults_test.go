//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Nautobot is not there: the program waits for it, but not for ever.
func TestNautobotIsNotThere(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		for _, c := range []struct {
			name   string
			spoil  func(*fixture)
			waits  bool // until the end of --timeout
			asks   int  // at least
			reason string
		}{
			{"down", func(f *fixture) { f.env["NAUTOBOT_URL"] = "http://" + nobody }, true, 0, "connection refused"},
			{"503", func(f *fixture) { f.proxy.spoilAll(unavailable) }, true, 2, "503"},
			{"connections break", func(f *fixture) { f.proxy.spoilAll(drop) }, true, 2, "no answer from Nautobot"},
			{"never answers", func(f *fixture) { f.proxy.spoilAll(f.proxy.hang) }, false, 1, "timed out"},
			{"an HTML page", func(f *fixture) { f.proxy.spoilAll(page) }, false, 1, "--nautobot-url"},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel() // most of it is waiting
				f := newFixture(t, nautobot)
				f.saveSecret(t)
				c.spoil(f)
				r := f.provision(t, "--timeout=10s").want(t, 1).wantText(t, c.reason).wantNoWrite(t)
				if c.waits {
					r.wantWaiting(t, true)
				}
				if len(r.requests) < c.asks {
					t.Errorf("%d requests, want %d at least\n%s", len(r.requests), c.asks, r)
				}
				if lines := r.lines(); len(lines) != 1 || !strings.HasPrefix(lines[0], "secret/"+f.namespace+"/"+f.name+" failed ") {
					t.Errorf("standard output is no line that says failed\n%s", r)
				}
			})
		}
	})
}

// nobody is an address that nobody listens on.
const nobody = "127.0.0.1:1"

func TestNautobotComesBack(t *testing.T) {
	const away = 3 // requests
	asProvisioner(t, func(t *testing.T, nautobot target) {
		for _, c := range []struct {
			name  string
			spoil fate
		}{{"503", unavailable}, {"connections break", drop}} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, nautobot)
				f.saveSecret(t)
				f.proxy.spoil(func(n int, _ *http.Request) fate {
					if n <= away {
						return c.spoil
					}
					return nil
				})
				f.provision(t).want(t, 0).wantWaiting(t, true)
				f.proxy.spoil(nil)
				f.wantAccount(t)
				f.wantUnchanged(t)
			})
		}
	})
}

func TestWhatMayComeLater(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		f.saveSecret(t)
		f.secrets["wrong token"] = "wrong" + randomText() + randomText()
		for _, c := range []struct {
			name  string
			env   map[string]string
			says  string
			spoil func(*fixture)
		}{
			{name: "superuser token wrong", says: "the superuser token is not accepted", spoil: func(g *fixture) {
				g.apply(t, secretObject(g.namespace, g.name+"-superuser", nil, map[string]string{"token": f.secrets["wrong token"]}))
				g.env["NAUTOBOT_SUPERUSER_SECRET"] = g.namespace + "/" + g.name + "-superuser"
			}},
			{name: "superuser token without rights", says: "users.view_user", spoil: func(g *fixture) {
				h := f.another()
				h.saveSecret(t)
				h.provision(t).want(t, 0)
				g.env["NAUTOBOT_TOKEN"] = h.token
			}},
			{name: "superuser Secret missing", says: "there is no Secret nautobot/not-there", spoil: func(g *fixture) {
				g.env["NAUTOBOT_SUPERUSER_SECRET"] = "nautobot/not-there"
			}},
			{name: "superuser Secret without key", says: "the key of --superuser-secret-key (NAUTOBOT_SUPERUSER_SECRET_KEY) is missing", spoil: func(g *fixture) {
				g.env["NAUTOBOT_SUPERUSER_SECRET_KEY"] = "secret-word"
			}},
			{name: "superuser Secret empty", says: "the keys apitoken and token are empty", spoil: func(g *fixture) {
				g.apply(t, secretObject(g.namespace, g.name+"-superuser", nil, map[string]string{"apitoken": " \n"}))
				g.env["NAUTOBOT_SUPERUSER_SECRET"] = g.namespace + "/" + g.name + "-superuser"
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				g := f.another()
				g.saveSecret(t)
				c.spoil(g)
				g.provision(t).want(t, 1).wantWaiting(t, false).wantText(t, c.says).wantNoWrite(t)
			})
		}
		t.Run("API server down", func(t *testing.T) {
			g := f.another()
			g.env["KUBECONFIG"] = f.writeKubeconfig(t, "https://"+nobody)
			g.provision(t, "--timeout=4s").want(t, 1).wantText(t, "connection refused")
		})
	})
}

// One request of each kind is lost, or carried out with its answer lost: one
// run still reaches the end.
func TestOneRequestIsSpoilt(t *testing.T) {
	asProvisioner(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		// One run may have more to do: to make what all accounts need, where a
		// test before has taken it away, or to ask a busy server again.
		creation := min(len(f.provisionNew(t).requests), len(f.another().provisionNew(t).requests))
		for name, spoil := range map[string]fate{"dropped": drop, "carried out and dropped": carryOutAndDrop, "503": unavailable} {
			for n := 1; n <= creation; n++ {
				t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
					g := f.another()
					g.saveSecret(t)
					g.proxy.spoil(func(i int, _ *http.Request) fate {
						if i == n {
							return spoil
						}
						return nil
					})
					r := g.provision(t).want(t, 0)
					if len(r.requests) <= n {
						t.Errorf("only %d requests, want more after the spoilt one\n%s", len(r.requests), r)
					}
					g.wantAccount(t)
					if all := g.tokens(t); len(all) != 1 {
						t.Errorf("%d tokens, want 1", len(all))
					}
				})
			}
		}
	})
}

// Two runs for one Secret: whoever loses the race finds its work done. What
// Nautobot says to the loser can hold the key.
func TestTwoRunsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, nautobot target) {
		f := newFixture(t, nautobot)
		for range 4 {
			g := f.another()
			for tokens, what := range []string{"creation", "rotation"} {
				g.token = g.newToken("token of the " + what)
				g.saveSecret(t)
				one := g.start(t, "provision", g.name, "-n", g.namespace)
				other := g.start(t, "provision", g.name, "-n", g.namespace)
				one.end().want(t, 0)
				other.end().want(t, 0)
				g.wantAccount(t)
				if have := len(g.tokens(t)); have != tokens+1 {
					t.Errorf("%s: %d tokens, want %d", what, have, tokens+1)
				}
			}
		}
	})
}
