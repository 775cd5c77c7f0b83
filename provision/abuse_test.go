package provision_test

import (
	"strings"
	"testing"

	"github.com/rackerlabs/understack/go/nautobot-token/nautobot/nautobottest"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// The right to take an account over is not a right to a superuser, not even to
// the one whose token the run uses.
func TestAdoptAloneDoesNotGiveTheOwnSuperuserAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set("username", nautobottest.Admin)
	w.rule.Adopt, w.rule.Exclusive = true, true
	if _, err := w.run(t.Context()); !isRefused(err) || len(w.nautobot.Writes()) > 0 {
		t.Errorf("error %v, writes %v", err, w.nautobot.Writes())
	}
	// Allowed to, it leaves the account's other tokens alone: sites use them.
	site := w.nautobot.AddToken(nautobottest.Admin, nautobottest.Token{Key: key("of-a-site")}).Key
	w.rule.Superuser = true
	w.mustRun(t)
	if !w.opens(t, site) || !w.opens(t, w.secret["token"]) {
		t.Error("a token of the superuser's account was ended")
	}
}

// No glob of adoptFrom inherits a provisioner.
func TestAdoptFromNeverTakesAProvisioner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.setup(t.Context(), provision.DefaultManagedGroup, "prov"); err != nil {
		t.Fatal(err)
	}
	w.set("username", "prov")
	for _, owner := range []string{"*/*", "*/prov", "nautobot-token*/*"} {
		w.rule.AdoptFrom = []string{owner}
		w.nautobot.ResetRequests()
		if _, err := w.run(t.Context()); !isRefused(err) || len(w.nautobot.Writes()) > 0 {
			t.Errorf("%s: error %v, writes %v", owner, err, w.nautobot.Writes())
		}
	}
}

// A permission with the managed group's name that is about something else is
// somebody else's.
func TestPermissionOfOthersIsNotOverwritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.managedGroup = "network-admins"
	w.nautobot.AddGroup("network-admins")
	w.nautobot.AddPermission(nautobottest.Permission{
		Name: "network-admins", Groups: []string{"network-admins"}, ObjectTypes: []string{"dcim.device"}, Actions: []string{"view"},
	})
	if _, err := w.run(t.Context()); err == nil {
		t.Error("no error")
	}
	if _, err := w.setup(t.Context(), "network-admins", "prov"); !isRefused(err) {
		t.Errorf("setup: error %v, want a refusal", err)
	}
	for _, permission := range w.nautobot.Snapshot().Permissions {
		if permission.Name == "network-admins" && permission.ObjectTypes[0] != "dcim.device" {
			t.Errorf("the permission is about %v", permission.ObjectTypes)
		}
	}
}

// Whatever right the permission has lost, it gets back once it is missed.
func TestPermissionWithoutARightIsMended(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"view", "add", "change", "delete"} {
		w := newWorld(t)
		w.mustRun(t)
		w.nautobot.DeletePermission(provision.DefaultManagedGroup)
		var rest []string
		for _, one := range []string{"view", "add", "change", "delete"} {
			if one != action {
				rest = append(rest, one)
			}
		}
		w.nautobot.AddPermission(nautobottest.Permission{
			Name: provision.DefaultManagedGroup, Groups: []string{provision.DefaultManagedGroup}, ObjectTypes: []string{"users.token"},
			Actions: rest, Constraints: map[string]any{"user": "$user"},
		})
		w.set("token", key("second"))
		if action == "delete" {
			w.grace = 0
		}
		if _, err := w.run(t.Context()); err != nil {
			t.Errorf("without %s: %v", action, err)
			continue
		}
		w.mustBeDone(t)
	}
}

// An account that was opened for a version of the Secret is closed, even if the
// version after it is refused.
func TestOpenedForAVersionThatIsOvertakenByARefusedOne(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*provision.Secret){
		"malformed":       func(s *provision.Secret) { s.Data["token"] = provision.Hide("short") },
		"another account": func(s *provision.Secret) { s.Data["username"] = provision.Hide("admin") },
		"no label":        func(s *provision.Secret) { s.Labels = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.set("password", "")
			first, second := w.current(), w.current()
			spoil(&second)
			if _, err := w.runAs(t.Context(), "one", &versions{all: []provision.Secret{first, second}}); err == nil {
				t.Error("no error")
			}
			if user, _ := w.nautobot.User(username); user.Password != "" || user.FirstName == opening {
				t.Errorf("first name %q, open %v", user.FirstName, user.Password != "")
			}
		})
	}
}

// A holder may choose odd keys for tokens of its own: the rotation goes on.
func TestHoldersOddKeysDoNotStopTheRotation(t *testing.T) {
	t.Parallel()
	for _, odd := range []string{strings.Repeat("*", 36) + "abcd", strings.Repeat(".", 40), strings.Repeat("x", 34) + " (abc)"} {
		for _, password := range []string{"first password", ""} {
			w := newWorld(t)
			w.set("password", password)
			w.mustRun(t)
			w.nautobot.AddToken(username, nautobottest.Token{Key: odd, Description: "by hand"})
			w.set("token", key("second"))
			if _, err := w.run(t.Context()); err != nil {
				t.Errorf("password %q: %v", password, err)
			}
			w.mustRun(t)
		}
	}
}

// An empty stored password is replaced, whatever else has to be written.
func TestEmptyStoredPasswordIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRun(t)
	w.nautobot.UpdateUser(username, func(u *nautobottest.User) {
		u.BlankPassword, u.Inactive, u.FirstName = true, true, "Service account (revoked)"
	})
	w.mustRun(t)
	w.mustBeDone(t)
}

// A Secret of the same name in another cluster is recognized as that.
func TestRefusalNamesTheCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.mustRun(t)
	w.cluster = ""
	if _, err := w.run(t.Context()); !isRefused(err) || !strings.Contains(err.Error(), "--cluster") {
		t.Errorf("error %v, want one that asks for --cluster", err)
	}
	w.cluster = "other"
	if _, err := w.run(t.Context()); !isRefused(err) || !strings.Contains(err.Error(), "--cluster") {
		t.Errorf("error %v, want one that asks for --cluster", err)
	}
}
