package provision_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
)

// What may happen to a Secret while runs work on it.
func goes(w *world)         { w.gone = true }
func comesBack(w *world)    { w.comeBack() }
func changes(w *world)      { w.set("token", key("newest")) }
func namesAnother(w *world) { w.set("username", "rxdb-lab-newest"); changes(w) }
func comesBackChanged(w *world) {
	w.comeBack()
	changes(w)
	w.set("password", "newest password")
}

// Sync, revoke, prune and provision in pairs, and a Secret that goes and comes
// back in the meantime: in every order of their requests, of their looks at the
// Secret, and of what happens to it. Whatever they leave, one sync --prune puts it
// right; and if they all ended well, none is necessary for a Secret that a revoke
// or a provision saw come back.
func TestEveryInterleavingOfTheLoop(t *testing.T) {
	t.Parallel()
	there := back["there"]
	apiOnly := func(t tb, w *world) {
		w.set("password", "")
		w.mustRun(t)
	}
	tests := map[string]struct {
		prepare func(tb, *world)
		runs    []operation
		events  []func(*world)
		short   bool // quick enough for every day
	}{
		"provision and revoke, the Secret goes and comes back":          {there, []operation{provisionIt, revoke}, []func(*world){goes, comesBack}, false},
		"provision and revoke, the Secret comes back":                   {gone["gone"], []operation{provisionIt, revoke}, []func(*world){comesBack}, true},
		"provision and revoke, the Secret comes back changed":           {gone["gone"], []operation{provisionIt, revoke}, []func(*world){comesBackChanged}, false},
		"provision and revoke, the Secret goes":                         {there, []operation{provisionIt, revoke}, []func(*world){goes}, true},
		"provision and revoke, the Secret goes before its account":      {scenarios["create"], []operation{provisionIt, revoke}, []func(*world){goes}, false},
		"provision and revoke, without a password":                      {apiOnly, []operation{provisionIt, revoke}, []func(*world){goes, comesBack}, false},
		"rotation and revoke":                                           {scenarios["rotate both"], []operation{provisionIt, revoke}, []func(*world){goes, comesBack}, false},
		"rotation without a password and revoke":                        {scenarios["rotate the token without a password"], []operation{provisionIt, revoke}, []func(*world){goes, comesBack}, false},
		"provision and revoke with settle":                              {there, []operation{provisionIt, revokeSettled}, []func(*world){goes, comesBack}, false},
		"two revokes":                                                   {there, []operation{revoke, revoke}, []func(*world){goes, comesBack}, false},
		"two revokes with settle":                                       {there, []operation{revokeSettled, revokeSettled}, []func(*world){goes, comesBack}, false},
		"two revokes, the Secret comes back and goes again":             {gone["gone"], []operation{revoke, revokeSettled}, []func(*world){comesBack, goes}, false},
		"two revokes of what is revoked already, the Secret comes back": {gone["gone, and revoked already"], []operation{revokeSettled, revoke}, []func(*world){comesBack}, true},
		"provision and prune":                                           {there, []operation{provisionIt, prune}, []func(*world){goes, comesBack}, false},
		"provision and prune, the Secret comes back":                    {gone["gone"], []operation{provisionIt, prune}, []func(*world){comesBack}, true},
		"revoke and prune":                                              {there, []operation{revokeSettled, prune}, []func(*world){goes, comesBack}, false},
		"two prunes":                                                    {gone["gone"], []operation{prune, prune}, []func(*world){comesBack}, false},
		"sync and revoke":                                               {there, []operation{fullSync, revokeSettled}, []func(*world){goes, comesBack}, false},
		"two syncs":                                                     {scenarios["create"], []operation{fullSync, fullSync}, nil, false},
		"two syncs, rotation":                                           {scenarios["rotate both"], []operation{fullSync, quickSync}, nil, false},
		"two syncs, rotation without a password":                        {scenarios["rotate the token without a password"], []operation{fullSync, fullSync}, nil, false},
		"two syncs, another account":                                    {scenarios["another account"], []operation{fullSync, fullSync}, nil, false},
		"sync and provision, the Secret changes":                        {there, []operation{fullSync, provisionIt}, []func(*world){changes}, true},
		"sync and provision, the Secret names another account":          {there, []operation{fullSync, provisionIt}, []func(*world){namesAnother}, false},
	}
	for name, test := range tests {
		if !thorough && !test.short {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			explorer{
				prepare: test.prepare, runs: test.runs, events: test.events, fault: nautobottest.None(),
				lists: strings.Contains(name, "prune"),
			}.explore(t)
		})
	}
}

// checkLoop: nothing went wrong that the Secret's going and coming back does not
// explain, and one sync --prune puts everything right.
func (d *duel) checkLoop(t *testing.T) {
	t.Helper()
	w := d.world
	well := true
	for i, err := range d.errs {
		well = well && err == nil
		// For a moment an account that is revoked while its password is cleared looks
		// as if a person had deactivated it.
		between := strings.Contains(fmt.Sprint(err), "was deactivated in Nautobot")
		explained := (w.gone || w.lives > 0) && (between || strings.Contains(fmt.Sprint(err), "there is no such Secret") || isRefused(err) && strings.HasPrefix(err.Error(), "the Secret is there"))
		if err != nil && !explained {
			t.Errorf("run %d: %v", i+1, err)
		}
	}
	if well && !w.gone && !d.lists && (d.fresh[0] || d.fresh[1]) { // a list of accounts may be older than the look at a Secret
		w.checkAccount(t)
	}
	w.mustClose(t)
}
