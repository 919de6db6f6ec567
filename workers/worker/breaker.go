package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/limits"
)

// # Failure policy: circuit breaker
//
// Retries of many messages, in many slots and processes, against a dependency that
// is away or busy keep it down. So the fleet has one circuit a dependency, a row in
// the database (store/failures). The first call that finds the dependency away
// opens the circuit: while it is open no call is made. Once its wait has passed it
// is half-open: one call an interval is made, the probe. A probe that is answered
// closes it.
//
// Invariants:
//
//   - A circuit that is known as closed costs a look into memory. Memory is read
//     anew from the database when it is a second old and a call is to be made.
//   - A circuit that is known as open is asked of the database before each call:
//     only there is it decided which call is the probe.
//   - A process that does not know yet that a circuit is open makes at most the
//     calls that its slots have under way: the first that fails tells all of them.
//   - An error of the breaker's own is the database's fault, and no message's.
//
// # What a crash leaves, step by step
//
//	before the circuit opens     the next call finds out
//	with the probe under way     an open circuit that the next call may probe
//	                             failures.ProbeTime after the probe was claimed
//	after the call went well,    the same; the call is made again for the same
//	before the circuit closes    message, with its key

// DefaultCircuitBackoff is how long circuits stay open.
var DefaultCircuitBackoff = failures.CircuitBackoff{First: time.Second, Longest: 15 * time.Second, LongestAsked: time.Hour}

// Breakers are the circuit breakers of the dependencies that a process calls. The
// zero value works once a worker that was declared with it runs; before that, and
// when it is nil, every call is made.
type Breakers struct {
	// Backoff is how long circuits stay open; zero means DefaultCircuitBackoff.
	Backoff failures.CircuitBackoff

	db      atomic.Pointer[store.DB]
	mu      sync.Mutex
	readAt  time.Time
	open    map[string]time.Time // the circuits known as open, and since when they are known so
	limited map[string]bool      // the dependencies known to have a limit of calls at once: see limit.go
	faults  faults
}

// WithBreakers declares that the worker makes its calls by Breakers.Call, or by
// webcall with these breakers.
func WithBreakers(breakers *Breakers) Option { return func(w *Worker) { w.breakers = breakers } }

// knownFor is how long a circuit that was read as closed is believed to be.
const knownFor = time.Second

// settleTime is how long the end of a call is reported, also by a process that stops.
const settleTime = 5 * time.Second

// Call makes the call with this key to a dependency if its circuit is closed, or
// half-open and this call is the probe. An Unavailable error of the call opens the circuit; any
// other end of a probe closes it, for the dependency has answered. The error is
// the call's, or ErrCircuitOpen, or the database's.
func (b *Breakers) Call(ctx context.Context, dependency, key string, call func() error) error {
	err := b.callIfClosed(ctx, dependency, key, call)
	if err == nil {
		b.tookCall(dependency, key)
	}
	return err
}

func (b *Breakers) callIfClosed(ctx context.Context, dependency, key string, call func() error) error {
	if b == nil || b.db.Load() == nil {
		return call()
	}
	db := b.db.Load()
	probe, err := b.permit(ctx, db, dependency, key)
	if err != nil {
		return err
	}
	if probe != 0 {
		err = call()
	} else if err = b.withinLimit(ctx, db, dependency, call); errors.Is(err, ErrCircuitOpen) {
		return err // no call was made
	}
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if away, is := asUnavailable(err); is {
		return b.trip(settling, db, key, probe, unavailability{mark: mark{err, ErrUnavailable}, dependency: dependency, wait: away.wait})
	}
	if probe != 0 && ctx.Err() == nil && failures.ResetCircuit(settling, db, dependency, probe) == nil {
		b.mark(dependency, false)
	} // a circuit that could not be closed is probed again; the call was made
	return err
}

// permit gives the term of the probe that this call is, 0 when the circuit is closed.
func (b *Breakers) permit(ctx context.Context, db *store.DB, dependency, key string) (probe int64, err error) {
	open, err := b.knownOpen(ctx, db, dependency)
	if err != nil || !open {
		return 0, err
	}
	permit, err := failures.RequestPermit(ctx, db, dependency, key)
	if err != nil {
		return 0, err
	}
	if permit.Refused {
		return 0, Unavailable(dependency, fmt.Errorf("%w: %s is away", ErrCircuitOpen, dependency), permit.Wait)
	}
	if permit.Probe == 0 {
		b.mark(dependency, false)
	}
	return permit.Probe, nil
}

// trip opens a circuit.
func (b *Breakers) trip(ctx context.Context, db *store.DB, key string, probe int64, away unavailability) error {
	backoff := b.Backoff
	if backoff == (failures.CircuitBackoff{}) {
		backoff = DefaultCircuitBackoff
	}
	wait, lone, err := failures.TripCircuit(ctx, db, away.dependency, key, probe, away.Error(), away.wait, backoff)
	if err != nil {
		return fmt.Errorf("%w; %w", away, err)
	}
	b.mark(away.dependency, true)
	away.wait, away.lone = wait, lone
	return away
}

// knownOpen tells what memory knows of a circuit, and reads the database when that is old.
func (b *Breakers) knownOpen(ctx context.Context, db *store.DB, dependency string) (open bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if began := time.Now(); began.Sub(b.readAt) >= knownFor {
		b.readAt = began // other calls go by memory while this one reads
		b.mu.Unlock()
		circuits, err := failures.OpenCircuits(ctx, db)
		var limited []limits.Limit
		if err == nil {
			limited, err = limits.List(ctx, db)
		}
		b.mu.Lock()
		if err != nil {
			b.readAt = time.Time{}
			return false, err
		}
		b.remember(circuits, began)
		b.limited = map[string]bool{}
		for _, l := range limited {
			b.limited[l.Name] = true
		}
	}
	_, open = b.open[dependency]
	return open, nil
}

// remember takes over what was read, but keeps circuits that opened after the read began. The lock is held.
func (b *Breakers) remember(circuits []failures.CircuitState, began time.Time) {
	read := make(map[string]time.Time, len(circuits))
	for _, c := range circuits {
		read[c.Name] = began
	}
	for name, since := range b.open {
		if since.After(began) {
			read[name] = since
		}
	}
	b.open = read
}

func (b *Breakers) mark(dependency string, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !open:
		delete(b.open, dependency)
	case b.open == nil:
		b.open = map[string]time.Time{dependency: time.Now()}
	default:
		b.open[dependency] = time.Now()
	}
}

// # Failure policy: whose fault a server error is
//
// A server error, or no whole answer to a request that was sent, is the dependency's trouble: it opens the circuit and
// costs no attempt. It is the message's own when the dependency fails so on this message alone: twice, and between the
// two it took another message. This is known for each process by itself; a restart forgets it, and the message shows it
// again.
//
// A message that is alone cannot be told from the dependency's trouble. It waits, and loses no attempt; after some
// probes with it alone any other message goes first (store/failures/circuit.go), and doctor, a metric and the log tell
// of it.

// mostFailed bounds the messages that are remembered of a dependency.
const mostFailed = 10_000

// serverFaults remembers of one dependency which messages it failed on.
type serverFaults struct {
	taken  int64            // messages that it took
	failed map[string]int64 // taken, when it last failed on a message, by the call's key
}

// faults are those of all dependencies.
type faults struct {
	mu sync.Mutex
	of map[string]*serverFaults
}

// tookCall notes that the dependency took the call with this key.
func (b *Breakers) tookCall(dependency, key string) {
	if b == nil {
		return
	}
	b.faults.mu.Lock()
	defer b.faults.mu.Unlock()
	if f := b.faults.of[dependency]; f != nil {
		f.taken++
		delete(f.failed, key)
	}
}

// IsOwnFault notes that the dependency failed on the call with this key, by a server error or without a whole answer,
// and tells whether the message is the cause: since the dependency failed on it before, it has taken another. Without
// breakers it always is.
func (b *Breakers) IsOwnFault(dependency, key string) bool {
	if b == nil {
		return true
	}
	b.faults.mu.Lock()
	defer b.faults.mu.Unlock()
	f := b.faults.of[dependency]
	if f == nil {
		f = &serverFaults{failed: map[string]int64{}}
		if b.faults.of == nil {
			b.faults.of = map[string]*serverFaults{}
		}
		b.faults.of[dependency] = f
	}
	taken, known := f.failed[key]
	if known && f.taken > taken {
		return true
	}
	if len(f.failed) >= mostFailed {
		clear(f.failed)
	}
	f.failed[key] = f.taken
	return false
}
