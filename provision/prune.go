package provision

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// Prune revokes every account of this cluster whose Secret is gone: in those
// namespaces, or in all if none is given. present reports whether a Secret is known
// to be there; done is told what became of each. An error says why nothing more
// could be done.
func (r *Revocation) Prune(ctx context.Context, namespaces []string, present func(namespace, name string) bool, done func(Result, error)) error {
	nautobot, superuserToken, err := r.Connect(ctx)
	if err != nil {
		return err
	}
	prefixes := []string{r.Cluster + "/"}
	if len(namespaces) > 0 {
		prefixes = nil
	}
	for _, namespace := range namespaces {
		prefixes = append(prefixes, r.Cluster+"/"+namespace+"/")
	}
	var missing []Owner
	there := 0
	isPresent := func(o Owner) bool { return present(o.Namespace, o.Name) }
	failed := func(o Owner, err error) { done(Result{Secret: o.secret()}, err) }
	for _, prefix := range prefixes {
		found, err := r.missing(ctx, nautobot, prefix, isPresent, failed)
		if err != nil {
			return err
		}
		missing, there = append(missing, found.missing...), there+found.there
	}
	if len(missing) > 0 && !r.DryRun && r.Settle > 0 {
		r.Log.Info("waiting to see whether Secrets that are gone come back", "secrets", len(missing), "settle", r.Settle.String())
		if err := wait(ctx, r.Settle); err != nil {
			return err
		}
		missing = r.stillMissing(ctx, nautobot, missing, done)
	}
	missing = r.withinLimit(missing, done)
	if r.Limit > 0 && len(missing) > max(r.Limit, there) {
		return refuse("of %d Secrets that accounts of cluster %s belong to, %d are gone, which is most of them, and more than --limit %d allows in all: "+
			"is this the right cluster, and is it complete? If this is intended, raise --limit, or revoke each by hand", there+len(missing), r.Cluster, len(missing), r.Limit)
	}
	for _, owner := range missing {
		if ctx.Err() != nil {
			break
		}
		secret := owner.secret()
		one := *r
		one.Provisioner = r.loggingFor(secret)
		result, err := one.end(ctx, nautobot, superuserToken, secret)
		done(result, err)
	}
	return context.Cause(ctx)
}

// stillMissing leaves out the Secrets that have come back. Another run may have
// revoked their accounts in the meantime.
func (r *Revocation) stillMissing(ctx context.Context, nautobot Nautobot, missing []Owner, done func(Result, error)) []Owner {
	return slices.DeleteFunc(missing, func(o Owner) bool {
		secret := o.secret()
		_, err := r.Source(o.Namespace, o.Name).Secret(ctx)
		switch {
		case errors.Is(err, ErrNoSecret):
			return false
		case err != nil:
			done(Result{Secret: secret}, err)
		default:
			result, err := r.bringBack(ctx, nautobot, secret)
			done(result, err)
		}
		return true
	})
}

// withinLimit leaves out the namespaces in which too many Secrets are gone, and
// reports them.
func (r *Revocation) withinLimit(missing []Owner, done func(Result, error)) (within []Owner) {
	in := map[string][]Owner{}
	for _, owner := range missing {
		in[owner.Namespace] = append(in[owner.Namespace], owner)
	}
	for _, namespace := range slices.Sorted(maps.Keys(in)) {
		if r.Limit > 0 && len(in[namespace]) > r.Limit {
			done(Result{Secret: Secret{Namespace: namespace}}, r.tooMany(in[namespace]))
			continue
		}
		within = append(within, in[namespace]...)
	}
	return within
}
