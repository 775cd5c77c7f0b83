package provision

import (
	"context"
	"errors"
	"hash/fnv"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// Sync brings the accounts of many Secrets up to date. A healthy Secret costs one
// request: the accounts are fetched many at a time, and all that these can decide
// is that there is nothing to do. Everything else is provisioned like a single
// Secret.
type Sync struct {
	*Provisioner
	// Quick: if the token works, the password is taken on trust. Checking a
	// password costs Nautobot much more than anything else.
	Quick    bool
	Parallel int // Secrets at a time
	Source   func(namespace, name string) Source
	// Done is told what became of each Secret, by several goroutines.
	Done func(Result, error)
}

const (
	// batchSize is how many Secrets' accounts are fetched together.
	batchSize = 100
	// batchBytes is how much the Secrets of a batch may hold, without the last one.
	batchBytes = 1 << 20
)

// Run syncs the Secrets as they come. An error says that nothing more could be
// done for any of them; what went wrong with one is for Done.
func (s *Sync) Run(ctx context.Context, secrets iter.Seq[Secret]) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// The next accounts are fetched while a batch is worked on. Only batches, whose
	// size is limited, wait in memory.
	batches, work := make(chan []candidate), make(chan candidate)
	var workers sync.WaitGroup
	var leftOut atomic.Bool
	workers.Go(func() {
		defer close(work)
		for batch := range batches {
			for _, one := range batch {
				work <- one
			}
		}
	})
	for range s.Parallel {
		workers.Go(func() {
			for one := range work {
				if ctx.Err() != nil {
					leftOut.Store(true)
				} else if err := s.one(ctx, one); errors.Is(err, ErrOutOfTime) {
					stop(err) // the others would fail like this one
				}
			}
		})
	}
	err := s.feed(ctx, secrets, batches)
	close(batches)
	workers.Wait()
	if err == nil && leftOut.Load() {
		err = context.Cause(ctx)
	}
	return err
}

// candidate is a Secret to look at, and what is needed for that.
type candidate struct {
	secret         Secret
	nautobot       Nautobot
	superuserToken Sensitive
	owned          []User // accounts of this owner
}

// feed hands out the Secrets, in batches.
func (s *Sync) feed(ctx context.Context, secrets iter.Seq[Secret], batches chan<- []candidate) error {
	var batch []Secret
	var err error
	size := 0
	for secret := range secrets {
		batch, size = append(batch, secret), size+secret.size()
		if len(batch) == batchSize || size > batchBytes {
			if err = s.feedBatch(ctx, batch, batches); err != nil {
				return err
			}
			clear(batch) // their values need not be kept
			batch, size = batch[:0], 0
		}
	}
	if err = context.Cause(ctx); err == nil && len(batch) > 0 {
		err = s.feedBatch(ctx, batch, batches)
	}
	return err
}

// size is how many bytes the values of a Secret have.
func (s Secret) size() (n int) {
	for _, value := range s.Data {
		n += len(value.Reveal())
	}
	return n
}

func (s *Sync) feedBatch(ctx context.Context, batch []Secret, batches chan<- []candidate) error {
	nautobot, superuserToken, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, secret := range batch {
		names = append(names, s.ownerOf(secret).lastName())
	}
	found, err := nautobot.OwnedUsers(ctx, names...)
	if err != nil && !errors.Is(err, ErrTooLarge) { // which its own run finds as well
		return err
	}
	owned := map[string][]User{}
	for _, user := range found {
		owned[user.LastName] = append(owned[user.LastName], user)
	}
	var candidates []candidate
	for i, secret := range batch {
		candidates = append(candidates, candidate{secret, nautobot, superuserToken, owned[names[i]]})
	}
	select {
	case batches <- candidates:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// one looks at a Secret, and provisions it if there is anything to do. Its error
// has been reported already, or is about a Secret that was no longer one to sync
// before anything was written for it.
func (s *Sync) one(ctx context.Context, one candidate) error {
	p := s.loggingFor(one.secret)
	result := Result{Secret: one.secret}
	var healthy bool
	if result.Report, healthy = s.look(ctx, p, one); healthy {
		s.Done(result, nil)
		return nil
	}
	result, err := p.Provision(ctx, s.Source(one.secret.Namespace, one.secret.Name))
	noLongerOurs := err != nil && result.Secret.Name != "" && !result.Secret.Labelled() && !result.Report.Changed()
	if noLongerOurs || errors.Is(err, ErrNoSecret) { // since the list was made
		return err
	}
	if result.Secret.Name == "" {
		result.Secret = one.secret
	}
	s.Done(result, err)
	return err
}

// look reports whether there is nothing to do for a Secret. It writes nothing.
func (s *Sync) look(ctx context.Context, p *Provisioner, one candidate) (Report, bool) {
	want, err := p.desire(one.secret)
	if err != nil || !slices.ContainsFunc(one.owned, func(u User) bool { return u.Username == want.Username }) {
		return Report{}, false
	}
	want.SuperuserToken = one.superuserToken
	r := p.newReconciler(prefetched{one.nautobot, one.owned}, one.superuserToken)
	r.quick = s.Quick
	have, err := r.observe(ctx, want)
	if err != nil {
		return Report{}, false
	}
	steps, err := makePlan(want, have, r.clock(have.Tokens))
	if err != nil || writes(steps) {
		return Report{}, false
	}
	for _, step := range steps {
		r.report.add(step.Change)
	}
	return r.report, true
}

// prefetched is a Nautobot whose accounts of one owner have already been fetched.
type prefetched struct {
	Nautobot
	owned []User
}

func (p prefetched) OwnedUsers(context.Context, ...string) ([]User, error) { return p.owned, nil }

// Shard is one of several equal parts of all Secrets. The zero value is all of
// them.
type Shard struct{ Index, Of int }

// Includes reports whether a Secret is in the shard. The same Secret is always in
// the same one.
func (s Shard) Includes(namespace, name string) bool {
	if s.Of <= 1 {
		return true
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(namespace + "/" + name))
	return int(hash.Sum32())%s.Of == s.Index
}
