package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/inbox"
)

// Record writes what a call answered, in one transaction with the event's inbox
// row. A nil Record writes only that row.
//
// A Record that comes with an error writes how the call failed, in a transaction of
// its own, before the failure policies apply; it emits nothing. It may run for every
// attempt, and once more after a crash.
type Record func(ctx context.Context, tx *Tx) error

// call is what a worker does outside the database about events of one type.
type call struct {
	prepare preparation // nil: nothing to prepare
	make    func(ctx context.Context, e event.Any, prepared any) (Record, error)
	// together: one preparation takes events of several aggregates at once.
	together bool
}

// preparation prepares the calls of events, and gives what each was prepared with: noCall where none is needed.
type preparation func(ctx context.Context, tx *Tx, events []event.Any) ([]any, error)

type noCall struct{}

// OnCall is for effects outside the database. First the inbox is asked. Then do
// runs with no transaction open; it must send a key by which the other side
// recognises the same call made twice (webcall.IdempotencyKey). Then a transaction
// records the answer. After a crash between the call and its record the call is
// made again, with the same key.
func OnCall[T event.Payload](do func(ctx context.Context, e event.Of[T]) (Record, error)) Option {
	return OnPreparedCall(nil, func(ctx context.Context, e event.Of[T], _ any) (Record, error) { return do(ctx, e) })
}

// ErrNoCall is returned by a preparation when no call is needed: what it wrote is
// committed, and the event is done.
var ErrNoCall = errors.New("no call to make")

// OnPreparedCall is OnCall with a preparation in the database: prepare runs in a
// transaction of its own, committed before the call, and its result is handed to
// the call. After a crash or a failed call it runs again for the same event, so it
// must be idempotent; it emits nothing. When it returns ErrNoCall, what it wrote
// and the event's inbox row are committed together.
func OnPreparedCall[T event.Payload, P any](
	prepare func(ctx context.Context, tx *Tx, e event.Of[T]) (P, error),
	do func(ctx context.Context, e event.Of[T], prepared P) (Record, error),
) Option {
	return func(w *Worker) {
		t := w.subscribe(typeOf[T]())
		for _, c := range w.onCall {
			if c.together {
				panic(fmt.Sprintf(callsTogether, w.name))
			}
		}
		c := call{make: func(ctx context.Context, e event.Any, prepared any) (Record, error) {
			of, err := as[T](e)
			if err != nil {
				return nil, err
			}
			p, _ := prepared.(P) // a nil of an interface type has lost its type
			return do(ctx, of, p)
		}}
		if prepare != nil {
			c.prepare = func(ctx context.Context, tx *Tx, events []event.Any) ([]any, error) {
				of, err := as[T](events[0])
				if err != nil {
					return nil, err
				}
				switch p, err := prepare(ctx, tx, of); {
				case errors.Is(err, ErrNoCall):
					return []any{noCall{}}, nil
				case err != nil:
					return nil, err
				default:
					return []any{p}, nil
				}
			}
		}
		w.onCall[t] = c
	}
}

const callsTogether = "worker %s: OnPreparedCalls goes with no other call"

// OnPreparedCalls is OnPreparedCall for events of several types at once, each of another aggregate, in the order of
// their aggregates' ids. prepare gives one result an event; nil means that no call is needed.
func OnPreparedCalls[P any](
	prepare func(ctx context.Context, tx *Tx, events []event.Any) ([]*P, error),
	do func(ctx context.Context, e event.Any, prepared P) (Record, error),
	types ...event.Type,
) Option {
	c := call{together: true}
	c.make = func(ctx context.Context, e event.Any, prepared any) (Record, error) {
		return do(ctx, e, *prepared.(*P))
	}
	c.prepare = func(ctx context.Context, tx *Tx, events []event.Any) ([]any, error) {
		found, err := prepare(ctx, tx, events)
		if err != nil {
			return nil, err
		}
		prepared := make([]any, len(events))
		for i := range events {
			prepared[i] = found[i]
			if found[i] == nil {
				prepared[i] = noCall{}
			}
		}
		return prepared, nil
	}
	return func(w *Worker) {
		if len(w.onCall) > 0 {
			panic(fmt.Sprintf(callsTogether, w.name))
		}
		for _, t := range types {
			w.onCall[w.subscribe(t)] = c
		}
	}
}

// callTimeout bounds a call to the outside world, so that no slot waits for ever.
const callTimeout = time.Minute

// processCall is process for a call: ask the inbox, prepare, call with no transaction open, claim and record the
// answer.
func (p processor) processCall(ctx context.Context, m message, c call) (outcome, error) {
	e, prepared := m.event, m.prepared
	if !m.isPrepared {
		handled, err := inbox.Handled(ctx, p.db, p.consumer, e.ID)
		if err != nil || handled {
			return outcome{}, err
		}
		if err := p.accept(ctx, e); err != nil {
			return outcome{}, err
		}
		var done outcome
		if prepared, done, err = p.prepare(ctx, m, c); err != nil || done.handled > 0 {
			return done, err
		}
	}
	failpoint.Hit("call.prepared")
	var record Record
	calling, cancel := context.WithTimeout(p.spans.Within(ctx, p.worker.name, e.Envelope), callTimeout)
	err := guard(func() (err error) { record, err = c.make(calling, e, prepared); return err })
	cancel()
	if err != nil {
		failpoint.Hit("call.failed")
		return outcome{}, p.recordFailedCall(ctx, e, record, err)
	}
	failpoint.Hit("call.made")
	return p.inTx(ctx, e.Envelope, func(tx *Tx) (int, error) {
		fresh, err := inbox.Claim(ctx, tx, p.consumer, []uuid.UUID{e.ID})
		if err == nil && fresh[e.ID] {
			tx.claimed = []message{m}
		}
		if err != nil || !fresh[e.ID] || record == nil {
			return len(fresh), err
		}
		return 1, guard(func() error { return record(ctx, tx) })
	})
}

// recordFailedCall records how a call failed, and gives the failure.
func (p processor) recordFailedCall(ctx context.Context, e event.Any, record Record, failure error) error {
	if record == nil {
		return failure
	}
	_, err := p.inTx(ctx, e.Envelope, func(tx *Tx) (int, error) {
		return 0, withoutEvents(tx, func() error { return record(ctx, tx) })
	})
	if err != nil {
		return fmt.Errorf("%w; recording that: %w", failure, err)
	}
	return failure
}

// prepare runs a call's preparation. The outcome counts one message when no call is needed.
func (p processor) prepare(ctx context.Context, m message, c call) (prepared any, done outcome, err error) {
	if c.prepare == nil {
		return nil, outcome{}, nil
	}
	e := m.event
	done, err = p.inTx(ctx, e.Envelope, func(tx *Tx) (int, error) {
		found, err := prepareIn(ctx, tx, c, e)
		if err != nil {
			return 0, err
		}
		if prepared = found[0]; prepared != (noCall{}) {
			return 0, nil
		}
		tx.claimed = []message{m}
		_, err = inbox.Claim(ctx, tx, p.consumer, []uuid.UUID{e.ID})
		return 1, err
	})
	return prepared, done, err
}

// prepareIn runs a preparation in a transaction.
func prepareIn(ctx context.Context, tx *Tx, c call, events ...event.Any) (prepared []any, err error) {
	err = withoutEvents(tx, func() (err error) { prepared, err = c.prepare(ctx, tx, events); return err })
	return prepared, err
}

// errEmitted is a mistake in a worker: a step that may run twice for one event would emit every event twice.
var errEmitted = errors.New("only the record of a call that was made well may emit events")

// withoutEvents is guard for a step that must not emit.
func withoutEvents(tx *Tx, do func() error) error {
	err := guard(do)
	if len(tx.emitted) > 0 {
		return errEmitted
	}
	return err
}
