package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store"
)

// expire ends a lease as time would: its holder, stalled, has not renewed it.
func (p *place) expire(name string) {
	p.Helper()
	p.exec(`UPDATE lease SET expires_at = clock_timestamp() - interval '1 ms' WHERE name = $1`, name)
}

func TestALeaderThatSleptThroughItsLeaseMakesNoTick(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	stalled := p.newTicker()
	p.append(sale("a"))
	stalled.tick()
	if _, err := p.Acquire(t.Context(), "ticker", "another"); !errors.Is(err, store.ErrNotLeader) {
		t.Fatalf("a second one leads beside the first: %v", err)
	}
	p.expire("ticker")
	next := p.newTicker()
	if next.lease.Term != stalled.lease.Term+1 {
		t.Errorf("terms are %d and then %d", stalled.lease.Term, next.lease.Term)
	}
	p.append(sale("b"))
	_, err := stalled.Step(t.Context(), stalled.lease)
	isError(t, err, store.ErrNotLeader)
	isError(t, p.Renew(t.Context(), stalled.lease), store.ErrNotLeader)
	must(t, p.Release(t.Context(), stalled.lease)) // says nothing, does nothing
	must(t, p.Renew(t.Context(), next.lease))
	next.tick()
}

func TestALeaseThatEndedAndWasNotTakenCannotBeRenewed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	lease, err := p.Acquire(t.Context(), "x", "one")
	must(t, err)
	must(t, p.Renew(t.Context(), lease))
	p.expire("x")
	isError(t, p.Renew(t.Context(), lease), store.ErrNotLeader)
}

// The server's clock is set back by an hour: what was to end soon ends in an hour by
// it, and whoever held it may be dead. One who lives renews it by the new time.
func TestALeaseFromBeforeTheClockWasSetBackIsOver(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	const setBack = `UPDATE lease SET expires_at = expires_at + interval '1 hour'`
	held, err := p.Acquire(t.Context(), "x", "one")
	must(t, err)
	p.exec(setBack)
	must(t, p.Renew(t.Context(), held))
	_, err = p.Acquire(t.Context(), "x", "another")
	isError(t, err, store.ErrNotLeader)
	p.exec(setBack)
	next, err := p.Acquire(t.Context(), "x", "another")
	must(t, err)
	if next.Term != held.Term+1 {
		t.Errorf("terms are %d and then %d", held.Term, next.Term)
	}
	isError(t, p.Renew(t.Context(), held), store.ErrNotLeader)
}

// leading is a leader that tells when it leads.
type leading struct {
	began chan store.Lease
	ended chan struct{}
	stop  context.CancelFunc
}

func (p *place) lead(name, holder string, report func(error)) *leading {
	ctx, stop := context.WithCancel(p.Context())
	l := &leading{began: make(chan store.Lease, 10), ended: make(chan struct{}), stop: stop}
	go func() {
		defer close(l.ended)
		p.Lead(ctx, name, holder, func(ctx context.Context, lease store.Lease) error {
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
	return localtest.Receive(t, patience, "it leads", l.began)
}

func TestLeadershipPassesAtOnceWhenReleased(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	one := p.lead("x", "one", func(err error) { t.Error(err) })
	first := one.mustBegin(t)
	one.stop()
	<-one.ended
	if !value[bool](t, p.SQL(), `SELECT expires_at = '-infinity' FROM lease WHERE name = 'x'`) {
		t.Error("the lease goes on after its holder has left")
	}
	released := time.Now()
	second := p.lead("x", "two", func(err error) { t.Error(err) }).mustBegin(t)
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
	p := newPlace(t, 6)
	vanished, err := p.Acquire(t.Context(), "x", "one") // and never renews
	must(t, err)
	began := time.Now()
	lease := p.lead("x", "two", func(err error) { t.Error(err) }).mustBegin(t)
	took := time.Since(began)
	if lease.Term != vanished.Term+1 {
		t.Errorf("after %+v came %+v", vanished, lease)
	}
	if took < store.LeaseTTL*9/10 {
		t.Errorf("it was taken after %v, before it had ended", took)
	}
	t.Logf("took %v", took)
}

func TestALeaderIsToldThatItsLeaseIsLost(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	reported := make(chan error, 10)
	one := p.lead("x", "one", func(err error) { reported <- err })
	one.mustBegin(t)
	p.exec(`UPDATE lease SET term = term + 1, holder = 'two', expires_at = clock_timestamp() + interval '1 hour' WHERE name = 'x'`)
	isError(t, localtest.Receive(t, patience, "it is told", reported), store.ErrNotLeader)
}

// A renewal that hangs, as on a network that is gone, ends the work in time:
// here the lease's row is locked by somebody who does not let go.
func TestALeaderWhoseRenewalHangsStopsWithTheLease(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 6)
	reported := make(chan error, 10)
	one := p.lead("x", "one", func(err error) { reported <- err })
	one.mustBegin(t)
	began := time.Now()
	hanging := p.begin()
	must2(hanging.SQL().Exec(`SELECT FROM lease WHERE name = 'x' FOR UPDATE`))(t)
	err := localtest.Receive(t, patience, "it is told", reported)
	// And not when the lock has timed out, much later.
	if took := time.Since(began); errors.Is(err, store.ErrRetryable) || took > localtest.Deadline(3*store.LeaseTTL) {
		t.Errorf("told after %v: %v", took, err)
	}
	isError(t, err, context.DeadlineExceeded)
}
