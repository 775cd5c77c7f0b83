package provision_test

import (
	"context"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

func (w *world) setup(ctx context.Context, managedGroup, username string) (provision.Report, error) {
	address, err := url.Parse(w.nautobot.URL)
	if err != nil {
		return provision.Report{}, err
	}
	log, token := slog.New(slog.DiscardHandler), provision.Hide(w.nautobot.Token)
	return provision.Setup{
		Nautobot:       nautobot.New(nautobot.Config{URL: address, Token: token, UserAgent: "setup", Log: log, Pause: time.Millisecond}),
		SuperuserToken: token, ManagedGroup: managedGroup, Username: username, Token: provision.Hide(key(username)),
		DryRun: w.dryRun, Now: func() time.Time { return w.now }, Log: log,
	}.Run(ctx)
}

// Setup refuses every account that it did not create, before it writes anything.
func TestSetupLeavesAccountsOfOthersAlone(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]nautobottest.User{
		"a person called like the account": {Username: "smith", Password: "a person's", LastName: "smith", Superuser: true},
		"an account of a Secret":           {Username: "smith", FirstName: "Service account", LastName: mark},
		"an account made by hand":          {Username: "smith"},
		"the superuser token's own":        {Username: nautobottest.Admin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if user.Username != nautobottest.Admin {
				w.nautobot.AddUser(user)
			}
			_, err := w.setup(t.Context(), provision.DefaultManagedGroup, user.Username)
			if !isRefused(err) || len(w.nautobot.Writes()) > 0 {
				t.Errorf("error %v, writes %v", err, w.nautobot.Writes())
			}
		})
	}
}

// Every managed group has its own provisioners, which see nothing of the others.
func TestSetupForTwoManagedGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"a", "b", provision.DefaultManagedGroup} {
		if _, err := w.setup(t.Context(), name, "prov-"+name); err != nil {
			t.Fatal(err)
		}
		w.nautobot.ResetRequests()
		if report, err := w.setup(t.Context(), name, "prov-"+name); err != nil || len(w.nautobot.Writes()) > 0 {
			t.Errorf("%s, again: error %v, %v", name, err, report)
		}
	}
	for _, name := range []string{"a", "b", provision.DefaultManagedGroup} {
		w.managedGroup, w.token = name, key("prov-"+name)
		w.set("username", "svc-"+name)
		w.set("token", key("svc-"+name))
		w.cluster = "cluster-" + name[:1]
		for range 2 {
			if _, err := w.run(t.Context()); err != nil {
				t.Errorf("provisioner of %s: %v", name, err)
			}
		}
	}
	w.set("username", "svc-b")
	w.cluster, w.managedGroup, w.token = "cluster-a", "a", key("prov-a")
	w.rule.Adopt = true
	if _, err := w.run(t.Context()); err == nil {
		t.Error("the provisioner of one group took over an account of another")
	}
}
