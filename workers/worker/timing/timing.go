// Package timing measures where the time of a worker's deliveries goes: as histograms of all of them, and exactly of
// those that were late (package store/delays). Package exchange/delay has the stages.
//
// A delivery costs two looks at a clock, the header's text and a few counts in histograms. What costs more is done for
// late deliveries alone, once a batch.
package timing

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/delays"
)

// LateAfter is from when on a delivery is late, and where its time went is kept. One that waited in a retry queue, for
// a lock, for the database or behind another event is late too, however short that was.
const LateAfter = time.Second

// IsLate tells whether where a delivery's time went is kept.
func IsLate(times *delay.Times) bool {
	for s := delay.Locks; int(s) < delay.Stages; s++ {
		if times.In(s) > 0 {
			return true
		}
	}
	return times.Total() >= LateAfter
}

// MayBeLate tells whether one of the batch's deliveries may be late if it ends at that moment: it costs less than
// to end the times, and most are not.
func (b *Batch) MayBeLate(times *delay.Times, at time.Time) bool {
	return b.locked > 0 || b.away > 0 || times.Age(at) >= LateAfter || IsLate(times)
}

// Of are the times of a delivery whose batch began then. Without times of its own, or where these are a publisher's
// that is not trusted, they begin with its arrival, and measured is false.
func Of(d rabbitmq.Delivery, trusted bool, began time.Time) (times delay.Times, measured bool) {
	arrived := d.Arrived
	if arrived.IsZero() { // it was parked
		arrived = began
	}
	if trusted {
		times, measured = delay.Parse(d.Headers[delay.Header])
	}
	if !measured {
		times = delay.Since(arrived)
	}
	if _, dead := d.Headers[rabbitmq.HeaderDead]; dead { // moved by hand
		times.Until(delay.DeadLetter, arrived)
	} else {
		times.Until(delay.Queue, arrived)
	}
	times.Until(delay.Buffer, began)
	return times, measured
}

// Batch is the batch that a slot has in hand. It is for one goroutine.
type Batch struct {
	Began  time.Time
	locks  *Locks
	locked time.Duration
	away   time.Duration
}

// NewBatch is for a slot whose waits for locks are watched.
func NewBatch(locks *Locks) *Batch { return &Batch{locks: locks} }

// Begin begins a batch.
func (b *Batch) Begin(at time.Time) { b.Began, b.locked, b.away = at, 0, 0 }

// Locked counts time in which another transaction's lock was in the way.
func (b *Batch) Locked(spent time.Duration) { b.locked += spent }

// Away counts time in which the database did not serve.
func (b *Batch) Away(spent time.Duration) { b.away += spent }

// AskLocks counts what a transaction that has taken long, and is about to commit, has waited for locks.
func (b *Batch) AskLocks(ctx context.Context, tx store.Tx, began time.Time) error {
	if time.Since(began) < watchAfter || !b.locks.any() {
		return nil
	}
	session, err := delays.Session(ctx, tx)
	if err == nil {
		b.Locked(b.locks.of(session, began))
	}
	return err
}

// End ends the times of one of the batch's deliveries.
func (b *Batch) End(times *delay.Times, at time.Time) {
	before := times.In(delay.Handling)
	times.Until(delay.Handling, at)
	spent := times.In(delay.Handling) - before
	locked := min(spent, b.locked)
	times.Move(delay.Handling, delay.Locks, locked)
	times.Move(delay.Handling, delay.Database, min(spent-locked, b.away))
}
