package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/storetest"
)

func TestALeaderThatSleptThroughItsLeaseMakesNoTick(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	stalled := p.NewTicker()
	p.Append(storetest.Sale("a"))
	stalled.Tick()
	if _, err := store.AcquireLease(t.Context(), p.DB, "ticker", "another"); !errors.Is(err, store.ErrNotLeader) {
		t.Fatalf("a second one leads beside the first: %v", err)
	}
	p.Expire("ticker")
	next := p.NewTicker()
	if next.Lease.Term != stalled.Lease.Term+1 {
		t.Errorf("terms are %d and then %d", stalled.Lease.Term, next.Lease.Term)
	}
	p.Append(storetest.Sale("b"))
	_, err := stalled.Step(t.Context(), stalled.Lease)
	storetest.IsError(t, err, store.ErrNotLeader)
	storetest.IsError(t, store.RenewLease(t.Context(), p.DB, stalled.Lease), store.ErrNotLeader)
	storetest.Must(t, store.ReleaseLease(t.Context(), p.DB, stalled.Lease)) // without error or effect
	storetest.Must(t, store.RenewLease(t.Context(), p.DB, next.Lease))
	next.Tick()
}

func TestALeaseThatEndedAndWasNotTakenCannotBeRenewed(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	lease, err := store.AcquireLease(t.Context(), p.DB, "x", "one")
	storetest.Must(t, err)
	storetest.Must(t, store.RenewLease(t.Context(), p.DB, lease))
	p.Expire("x")
	storetest.IsError(t, store.RenewLease(t.Context(), p.DB, lease), store.ErrNotLeader)
}

// The server's clock is set back by an hour: a lease that was to end soon now ends in an hour, and its holder may be
// dead. A living holder renews it by the new time.
func TestALeaseFromBeforeTheClockWasSetBackIsOver(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	const setBack = `UPDATE lease SET expires_at = expires_at + interval '1 hour'`
	held, err := store.AcquireLease(t.Context(), p.DB, "x", "one")
	storetest.Must(t, err)
	p.Exec(setBack)
	storetest.Must(t, store.RenewLease(t.Context(), p.DB, held))
	_, err = store.AcquireLease(t.Context(), p.DB, "x", "another")
	storetest.IsError(t, err, store.ErrNotLeader)
	p.Exec(setBack)
	next, err := store.AcquireLease(t.Context(), p.DB, "x", "another")
	storetest.Must(t, err)
	if next.Term != held.Term+1 {
		t.Errorf("terms are %d and then %d", held.Term, next.Term)
	}
	storetest.IsError(t, store.RenewLease(t.Context(), p.DB, held), store.ErrNotLeader)
}

// leading is a leader that reports when it leads.
type leading struct {
	began chan store.Lease
	ended chan struct{}
	stop  context.CancelFunc
}

func lead(p *storetest.Env, name, holder string, report func(error)) *leading {
	ctx, stop := context.WithCancel(p.Context())
	l := &leading{began: make(chan store.Lease, 10), ended: make(chan struct{}), stop: stop}
	go func() {
		defer close(l.ended)
		store.Lead(ctx, p.DB, name, holder, func(ctx context.Context, lease store.Lease) error {
			l.began <- lease
			<-ctx.Done()
			return nil
		}, report)
	}()
	p.Cleanup(func() { stop(); <-l.ended })
	return l
}

func (l *leading) mustBegin(t *testing.T) store.Lease {
	t.Helper()
	return localtest.Receive(t, storetest.Timeout, "there is a leader", l.began)
}

func TestLeadershipPassesAtOnceWhenReleased(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	one := lead(p, "x", "one", func(err error) { t.Error(err) })
	first := one.mustBegin(t)
	one.stop()
	<-one.ended
	if !storetest.One[bool](t, p.SQL(), `SELECT expires_at = '-infinity' FROM lease WHERE name = 'x'`) {
		t.Error("the lease goes on after its holder has left")
	}
	released := time.Now()
	second := lead(p, "x", "two", func(err error) { t.Error(err) }).mustBegin(t)
	if second.Term != first.Term+1 || second.Holder != "two" {
		t.Errorf("after %+v came %+v", first, second)
	}
	t.Logf("took %v", time.Since(released))
	select {
	case lease := <-one.began:
		t.Errorf("%+v leads after it was stopped", lease)
	default:
	}
}

func TestLeadershipPassesWithinTheLeaseWhenTheLeaderVanishes(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	vanished, err := store.AcquireLease(t.Context(), p.DB, "x", "one") // never renews
	storetest.Must(t, err)
	began := time.Now()
	lease := lead(p, "x", "two", func(err error) { t.Error(err) }).mustBegin(t)
	took := time.Since(began)
	if lease.Term != vanished.Term+1 {
		t.Errorf("after %+v came %+v", vanished, lease)
	}
	if took < store.LeaseTTL*9/10 {
		t.Errorf("it was taken after %v, before it had ended", took)
	}
	t.Logf("took %v", took)
}

func TestALeadersContextEndsWithItsLease(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	reported := make(chan error, 10)
	one := lead(p, "x", "one", func(err error) { reported <- err })
	lease := one.mustBegin(t)
	p.Exec(`UPDATE lease SET term = term + 1, holder = 'two', expires_at = clock_timestamp() + interval '1 hour' WHERE name = 'x'`)
	storetest.IsError(t, localtest.Receive(t, storetest.Timeout, fmt.Sprintf("%+v is told", lease), reported), store.ErrNotLeader)
}

// A renewal that hangs, as on a lost network, ends the work in time: here another transaction keeps the lease's row
// locked.
func TestALeaderWhoseRenewalHangsStopsWithTheLease(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	reported := make(chan error, 10)
	one := lead(p, "x", "one", func(err error) { reported <- err })
	one.mustBegin(t)
	began := time.Now()
	hanging := p.OpenTx()
	storetest.MustGet(pg.RawTx(hanging).Exec(`SELECT FROM lease WHERE name = 'x' FOR UPDATE`))(t)
	err := localtest.Receive(t, storetest.Timeout, "the leader is told", reported)
	// And not only when the lock has timed out, much later.
	if took := time.Since(began); errors.Is(err, store.ErrRetryable) || took > localtest.Deadline(3*store.LeaseTTL) {
		t.Errorf("told after %v: %v", took, err)
	}
	storetest.IsError(t, err, context.DeadlineExceeded)
}
