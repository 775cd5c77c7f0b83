//go:build e2e

package chain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// A Secret that is deleted for good takes its account out of service, and brings
// it back when it returns.
func TestDeletedForGood(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ending, "for-good")
	a.save(t)
	a.wantJobs(t, 1)
	a.remove(t)
	eventually(t, a.unusable)
	if user := a.user(t); user.Active || user.FirstName != "Service account (revoked)" {
		t.Errorf("the account: %+v", user)
	}
	a.wantJobs(t, 2)
	a.save(t)
	eventually(t, a.usable)
	if user := a.user(t); !user.Active || user.FirstName != "Service account" {
		t.Errorf("the account: %+v", user)
	}
	a.wantJobs(t, 3)
}

// A Secret that loses its label is there still.
func TestLabelLost(t *testing.T) {
	t.Parallel()
	a := newAccount(t, ending, "label-lost")
	a.save(t)
	a.wantJobs(t, 1)
	a.saveData(t, nil, a.data())
	a.wantJobs(t, 2)
	if err := a.usable(t.Context()); err != nil {
		t.Error(err)
	}
}

// A Secret that is deleted and made again within seconds, twenty times, has its
// account in service at the end.
func TestDeletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	const times = 20
	a := newAccount(t, ending, "again")
	a.save(t)
	a.wantJobs(t, 1)
	out, stop := outOfService(t, a), make(chan struct{})
	measured := make(chan time.Duration, 1)
	go func() { measured <- out(stop) }()
	tick := time.NewTicker(700 * time.Millisecond)
	defer tick.Stop()
	for range times {
		a.remove(t)
		<-tick.C
		a.save(t)
		<-tick.C
	}
	a.wantEnded(t, 1+2*times)
	close(stop)
	t.Logf("out of service for %s", <-measured)
	if err := a.usable(t.Context()); err != nil {
		t.Error(err)
	}
	if user := a.user(t); !user.Active || user.FirstName != "Service account" {
		t.Errorf("the account: %+v", user)
	}
}

// wantEnded waits until the account has had that many Jobs, and all of them have
// ended. One that meets the Secret while it is gone is refused.
func (a *account) wantEnded(t *testing.T, n int) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		jobs, err := a.jobs(ctx)
		for _, job := range jobs {
			if err == nil && !finished(job, batchv1.JobComplete) && !finished(job, batchv1.JobFailed) {
				err = fmt.Errorf("Job %s has not ended: %+v", job.Name, job.Status)
			}
		}
		if err == nil && len(jobs) != n {
			err = fmt.Errorf("%d Jobs, want %d", len(jobs), n)
		}
		return err
	})
}

// outOfService measures how long a token is not accepted, until it is told to
// stop.
func outOfService(t *testing.T, a *account) func(stop <-chan struct{}) time.Duration {
	return func(stop <-chan struct{}) (total time.Duration) {
		for last := time.Now(); ; {
			err := a.usable(t.Context())
			now := time.Now()
			if err != nil {
				total += now.Sub(last)
			}
			last = now
			select {
			case <-stop:
				return total
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// If more Secrets are deleted at once than the limit allows, all accounts stay in
// service, and whoever looks finds out why.
func TestManyDeleted(t *testing.T) {
	t.Parallel()
	var accounts []*account
	for i := range 8 {
		accounts = append(accounts, newAccount(t, "ending-many", fmt.Sprintf("deleted-%d", i)))
	}
	for _, a := range accounts {
		a.save(t)
	}
	for _, a := range accounts {
		a.wantJobs(t, 1)
	}
	for _, a := range accounts {
		a.remove(t)
	}
	for _, a := range accounts {
		eventually(t, func(ctx context.Context) error {
			jobs, err := a.jobs(ctx)
			if err == nil && (len(jobs) != 2 || !finished(jobs[0], batchv1.JobFailed) && !finished(jobs[1], batchv1.JobFailed)) {
				err = fmt.Errorf("%d Jobs, and none has failed", len(jobs))
			}
			return err
		})
		if err := a.usable(t.Context()); err != nil {
			t.Errorf("%s: %v", a.name, err)
		}
	}
	eventually(t, func(ctx context.Context) error {
		var events corev1.EventList
		if err := get(ctx, "/api/v1/namespaces/ending-many/events", &events); err != nil {
			return err
		}
		for _, event := range events.Items {
			if strings.Contains(event.Message, "8 Secrets of namespace ending-many are gone at once, more than --limit 5 allows") {
				return nil
			}
		}
		return errors.New("no Event says why")
	})
}
