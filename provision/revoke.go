package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Revocation takes the accounts of Secrets that are gone out of service. A Secret
// is gone only if the API server says so, which is asked again before and after
// each write.
type Revocation struct {
	*Provisioner
	Source func(namespace, name string) Source
	Settle time.Duration // how long a Secret must have been gone
	// Limit is how many Secrets of one namespace may be gone: more of them look
	// like an accident. It needs a cluster with a name. 0: any number.
	Limit  int
	Delete bool // the accounts, instead of deactivating them
}

// errSecretBack: the Secret is there after all.
var errSecretBack = errors.New("the Secret is there again")

// Revoke takes the accounts of one Secret out of service. If the Secret is there,
// it is a *Refusal, or with Settle nothing to do.
func (r *Revocation) Revoke(ctx context.Context, namespace, name string) (Result, error) {
	secret := Secret{Namespace: namespace, Name: name}
	if err := r.Policy.allowRevoke(namespace, name); err != nil {
		return Result{Secret: secret}, err
	}
	gone, err := r.isGone(ctx, secret)
	if err != nil {
		return Result{Secret: secret}, err
	}
	if !gone && r.Settle == 0 {
		return Result{Secret: secret}, refuse("the Secret is there: its account is revoked only once it is gone")
	}
	nautobot, superuserToken, err := r.Connect(ctx)
	if err != nil {
		return Result{Secret: secret}, err
	}
	if !gone {
		return r.bringBack(ctx, nautobot, secret)
	}
	if r.Limit > 0 {
		found, err := r.missing(ctx, nautobot, r.Cluster+"/"+namespace+"/", func(Owner) bool { return false }, nil)
		_, readable := parseOwner(r.ownerOf(secret).lastName())
		switch {
		case err != nil:
		case len(found.missing) > r.Limit:
			err = r.tooMany(found.missing)
		case !readable && found.unreadable > r.Limit:
			err = refuse("%d Secrets of namespace %s have names that are too long to tell how many of them are gone, more than --limit %d allows. Revoke each by hand",
				found.unreadable, namespace, r.Limit)
		}
		if err != nil {
			return Result{Secret: secret}, err
		}
	}
	return r.end(ctx, nautobot, superuserToken, secret)
}

// isGone waits until the Secret has been gone, or there, for as long as Settle
// says without a break, and tells which.
func (r *Revocation) isGone(ctx context.Context, secret Secret) (bool, error) {
	source := r.Source(secret.Namespace, secret.Name)
	var since time.Time
	for was := false; ; {
		_, err := source.Secret(ctx)
		is := errors.Is(err, ErrNoSecret)
		if err != nil && !is {
			return false, err
		}
		if since.IsZero() || is != was {
			since, was = time.Now(), is
			if r.Settle > 0 {
				r.Log.Info("waiting to see whether this lasts", "gone", is, "settle", r.Settle.String())
			}
		}
		if time.Since(since) >= r.Settle {
			return is, nil
		}
		if err := wait(ctx, min(longestLook, r.Settle-time.Since(since))); err != nil {
			return false, err
		}
	}
}

// longestLook is how long a Secret may be out of sight while it settles.
const longestLook = 2 * time.Second

func wait(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("while waiting for the Secret to settle: %w", context.Cause(ctx))
	}
}

// bringBack is for a Secret that is there. A run that was killed after its write
// may have left the account out of service.
func (r *Revocation) bringBack(ctx context.Context, nautobot Nautobot, secret Secret) (Result, error) {
	source, owner := r.Source(secret.Namespace, secret.Name), r.ownerOf(secret)
	now, err := source.Secret(ctx) // first: whoever revokes after the accounts are looked at asks for it as well
	if err != nil {
		return Result{Secret: secret}, err
	}
	owned, err := nautobot.OwnedUsers(ctx, owner.lastName())
	if err == nil && now.Labelled() && slices.ContainsFunc(owned, func(u User) bool { return owner.owns(u) && isRevoked(u) }) {
		return r.Provision(ctx, source)
	}
	result := Result{Secret: secret}
	result.Report.add(Change{Object: secret.object(), Action: Unchanged, Notes: []string{"it is there, so its account stays in service"}})
	return result, err
}

// end takes the accounts of a Secret out of service.
func (r *Revocation) end(ctx context.Context, nautobot Nautobot, superuserToken Sensitive, secret Secret) (Result, error) {
	source, owner := r.Source(secret.Namespace, secret.Name), r.ownerOf(secret)
	e := r.newReconciler(nautobot, superuserToken)
	e.current = func(ctx context.Context) error {
		_, err := source.Secret(ctx)
		switch {
		case err == nil:
			return errSecretBack
		case errors.Is(err, ErrNoSecret):
			return nil
		}
		return err
	}
	err := e.untilDone(func() error {
		var have observed
		owned, err := nautobot.OwnedUsers(ctx, owner.lastName())
		if err == nil && len(owned) > 0 {
			err = e.observeSelf(ctx, &have)
		}
		if err != nil {
			return err
		}
		steps, unclear := planEnd(secret, owner, owned, have, r.Delete)
		if err := e.apply(ctx, steps); err != nil || unclear == nil {
			return err
		}
		if e.wrote {
			return errors.New(unclear.Error())
		}
		return unclear
	})
	// A run of provision that looked before the write will have found nothing to do.
	if back := e.current; err == nil && e.wrote {
		err = back(ctx)
	}
	if !errors.Is(err, errSecretBack) {
		return Result{secret, e.report}, err
	}
	r.Log.Info("the Secret is there again: provisioning it")
	result, err := r.Provision(ctx, source)
	for _, change := range result.Report.Changes {
		e.report.add(change)
	}
	return Result{result.Secret, e.report}, err
}

// planEnd makes the steps that take an owner's accounts out of service. unclear is
// a *Refusal about one that stays, because it may be the superuser token's own.
func planEnd(secret Secret, owner Owner, owned []User, have observed, remove bool) (steps []step, unclear error) {
	owned = slices.DeleteFunc(owned, func(u User) bool { return !owner.owns(u) })
	if len(owned) == 0 {
		return []step{told(secret.object(), "no account belongs to it")}, nil
	}
	for _, user := range owned {
		object := "user/" + user.Username
		switch own := have.keepSelf(user); {
		case have.isSelf(user):
			steps = append(steps, told(object, own))
		case own != "" && user.Active: // no token of an account that is not active is accepted
			unclear = refuse("account %q is %s: give it users.view_token on them", user.Username, own)
		case remove:
			steps = append(steps, step{
				Change:  Change{Object: object, Action: Revoked, Notes: []string{"deleted: the Secret is gone"}},
				write:   deleteUser{user.ID},
				recheck: true,
			})
		case isRevoked(user):
			steps = append(steps, told(object, "it is revoked already"))
		case !user.Active:
			steps = append(steps, told(object, "it was deactivated in Nautobot"))
		default:
			steps = append(steps, deactivation(user, "the Secret is gone"))
		}
	}
	return steps, unclear
}

// census is what was found out about the Secrets of active accounts.
type census struct {
	missing    []Owner // those that the policy lets be revoked
	there      int
	unreadable int // the account does not tell its Secret's whole name
}

// missing looks at the accounts under a prefix. present reports whether a Secret is
// known to be there. failed is told why one could not be read; if failed is nil,
// that ends the search.
func (r *Revocation) missing(ctx context.Context, nautobot Nautobot, prefix string, present func(Owner) bool, failed func(Owner, error)) (found census, err error) {
	without := 0
	for user, err := range nautobot.UsersUnder(ctx, leftOf(prefix)) {
		if errors.Is(err, ErrTooLarge) { // its holder must not keep the others' in service
			found.unreadable++
			if failed != nil {
				_, namespace, _ := strings.Cut(strings.TrimSuffix(prefix, "/"), "/")
				failed(Owner{Namespace: namespace}, fmt.Errorf("an account is skipped: %w", err))
			}
			continue
		}
		if err != nil {
			return found, err
		}
		owner, ok := parseOwner(user.LastName)
		switch {
		case !isService(user) || !user.Active:
		case !ok:
			found.unreadable++
		case !strings.HasPrefix(user.LastName, prefix) || slices.Contains(found.missing, owner):
		case present(owner):
			found.there++
		case r.Policy.allowRevoke(owner.Namespace, owner.Name) != nil:
			without++
		default:
			_, err := r.Source(owner.Namespace, owner.Name).Secret(ctx)
			switch {
			case err == nil:
				found.there++
			case errors.Is(err, ErrNoSecret):
				found.missing = append(found.missing, owner)
			case failed == nil:
				return found, err
			default:
				failed(owner, err)
			}
		}
	}
	if found.unreadable+without > 0 {
		r.Log.Info("accounts that are left in service even if their Secrets are gone", "under", prefix,
			"withoutRule", without, "unreadableOwner", found.unreadable)
	}
	return found, nil
}

// tooMany refuses to revoke this many accounts of one namespace.
func (r *Revocation) tooMany(missing []Owner) error {
	var names []string
	for _, owner := range missing {
		names = append(names, owner.Name)
	}
	slices.Sort(names)
	return refuse("%d Secrets of namespace %s are gone at once, more than --limit %d allows: %s. If this is intended, raise it, or revoke each by hand",
		len(missing), missing[0].Namespace, r.Limit, strings.Join(names, ", "))
}
