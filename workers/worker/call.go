package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/inbox"
)

// Record writes down what a call answered: it runs in a transaction together
// with the event's inbox row. A nil Record writes nothing more.
//
// A Record that comes with an error writes down how the call failed, in a
// transaction of its own, before the error is judged; it emits nothing. It may
// run for every try, and once more after a crash.
type Record func(ctx context.Context, tx *Tx) error

// call is what a worker does outside the database about an event of one type.
type call struct {
	prepare func(ctx context.Context, tx *Tx, e event.Any) (any, error) // nil: nothing to prepare
	make    func(ctx context.Context, e event.Any, prepared any) (Record, error)
}

// OnCall is for effects outside the database. The inbox is asked first; then
// call runs with no transaction open, and must hand the other side a key by
// which it recognises the same call made twice (IdempotencyKey of the business
// object and the action); then a transaction records the answer. A crash
// between the call and its record makes the call again, with the same key.
func OnCall[T event.Payload](do func(ctx context.Context, e event.Of[T]) (Record, error)) Option {
	return func(w *Worker) {
		t := w.subscribe(typeOf[T]())
		w.calls[t] = call{make: func(ctx context.Context, e event.Any, _ any) (Record, error) {
			of, err := as[T](e)
			if err != nil {
				return nil, err
			}
			return do(ctx, of)
		}}
	}
}

// ErrNoCall is what a preparation returns when there is nothing to call about:
// what it wrote is committed, and the event is done.
var ErrNoCall = errors.New("no call to make")

// OnPreparedCall is OnCall with a look into the database first: prepare runs in
// a transaction of its own, committed before the call, and what it gives is
// handed to the call. A crash or a failed call makes it run again for the same
// event, so that it must be idempotent; it emits nothing. ErrNoCall ends it there:
// what it wrote and the event's inbox row are committed together.
func OnPreparedCall[T event.Payload, P any](
	prepare func(ctx context.Context, tx *Tx, e event.Of[T]) (P, error),
	do func(ctx context.Context, e event.Of[T], prepared P) (Record, error),
) Option {
	return func(w *Worker) {
		t := w.subscribe(typeOf[T]())
		w.calls[t] = call{
			prepare: func(ctx context.Context, tx *Tx, e event.Any) (any, error) {
				of, err := as[T](e)
				if err != nil {
					return nil, err
				}
				return prepare(ctx, tx, of)
			},
			make: func(ctx context.Context, e event.Any, prepared any) (Record, error) {
				of, err := as[T](e)
				if err != nil {
					return nil, err
				}
				p, _ := prepared.(P) // a nil of an interface type is of no type any more
				return do(ctx, of, p)
			},
		}
	}
}

// IdempotencyKey names an action on a business object: the same key, the same call.
func IdempotencyKey(object, action string) string { return object + ":" + action }

// callTime bounds a call to the outside world: a slot that waits for ever for an
// answer would be a queue that stands still and says nothing.
const callTime = time.Minute

// handleCall asks the inbox, prepares, makes the call with no transaction open, and records its answer.
func (k desk) handleCall(ctx context.Context, m message, c call) (outcome, error) {
	e, prepared := m.event, m.prepared
	if !m.isPrepared {
		handled, err := inbox.Handled(ctx, k.db, k.consumer, e.ID)
		if err != nil || handled {
			return outcome{}, err
		}
		var done outcome
		if prepared, done, err = k.prepare(ctx, e, c); err != nil || done.handled > 0 {
			return done, err
		}
	}
	failpoint.Hit("call.prepared")
	var record Record
	calling, cancel := context.WithTimeout(ctx, callTime)
	err := guard(func() (err error) { record, err = c.make(calling, e, prepared); return err })
	cancel()
	if err != nil {
		failpoint.Hit("call.failed")
		return outcome{}, k.recordFailure(ctx, record, err)
	}
	failpoint.Hit("call.made")
	return k.transact(ctx, func(tx *Tx) (int, error) {
		fresh, err := inbox.Claim(ctx, tx, k.consumer, []uuid.UUID{e.ID})
		if err != nil || !fresh[e.ID] || record == nil {
			return len(fresh), err
		}
		return 1, guard(func() error { return record(ctx, tx) })
	})
}

// recordFailure writes down how a call failed, and gives the failure.
func (k desk) recordFailure(ctx context.Context, record Record, failure error) error {
	if record == nil {
		return failure
	}
	_, err := k.transact(ctx, func(tx *Tx) (int, error) {
		return 0, silent(tx, func() error { return record(ctx, tx) })
	})
	if err != nil {
		return fmt.Errorf("%w; recording that: %w", failure, err)
	}
	return failure
}

// prepare runs a call's preparation; the outcome counts one message when that was all.
func (k desk) prepare(ctx context.Context, e event.Any, c call) (prepared any, done outcome, err error) {
	if c.prepare == nil {
		return nil, outcome{}, nil
	}
	done, err = k.transact(ctx, func(tx *Tx) (int, error) {
		err := silent(tx, func() (err error) { prepared, err = c.prepare(ctx, tx, e); return err })
		if !errors.Is(err, ErrNoCall) {
			return 0, err
		}
		_, err = inbox.Claim(ctx, tx, k.consumer, []uuid.UUID{e.ID})
		return 1, err
	})
	return prepared, done, err
}

// prepareAll prepares the calls of several messages in one transaction, and
// gives those that are left to be called. The others are done: their events were
// handled before, stand in the batch twice, or there was nothing to call about.
// Messages of one aggregate keep their order; aggregates are taken in the order
// of their ids, so that two slots wait for each other instead of deadlocking.
func (k desk) prepareAll(ctx context.Context, messages []message) (left []message, done outcome, err error) {
	ids := make([]uuid.UUID, len(messages))
	for i, m := range messages {
		ids[i] = m.event.ID
	}
	handled, err := inbox.HandledAmong(ctx, k.db, k.consumer, ids)
	if err != nil {
		return nil, outcome{}, err
	}
	messages = slices.DeleteFunc(slices.Clone(messages), func(m message) bool {
		seen := handled[m.event.ID]
		handled[m.event.ID] = true
		return seen
	})
	slices.SortStableFunc(messages, func(a, b message) int {
		return cmp.Or(cmp.Compare(a.event.TenantID, b.event.TenantID), cmp.Compare(a.event.AggregateID, b.event.AggregateID))
	})
	done, err = k.transact(ctx, func(tx *Tx) (int, error) {
		left = nil
		var over []uuid.UUID
		for _, m := range messages {
			err := silent(tx, func() (err error) {
				m.prepared, err = k.worker.calls[m.event.Type].prepare(ctx, tx, m.event)
				return err
			})
			switch {
			case errors.Is(err, ErrNoCall):
				over = append(over, m.event.ID)
			case err != nil:
				return 0, err
			default:
				m.isPrepared = true
				left = append(left, m)
			}
		}
		if len(over) == 0 {
			return 0, nil
		}
		_, err := inbox.Claim(ctx, tx, k.consumer, over)
		return len(over), err
	})
	return left, done, err
}

// errEmitted is a mistake in a worker: what may run twice for one event would say everything twice.
var errEmitted = errors.New("only the record of a call that was made well may emit events")

// silent is guard for what must not emit.
func silent(tx *Tx, do func() error) error {
	err := guard(do)
	if len(tx.emitted) > 0 {
		return errEmitted
	}
	return err
}
