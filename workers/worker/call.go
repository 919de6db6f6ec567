package worker

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// Record writes down what a call answered: it runs in a transaction together
// with the event's inbox row. A nil Record writes nothing more.
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
		t := w.hear(typeOf[T]())
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
// event, so that it must be idempotent; it emits nothing. ErrNoCall ends it there.
func OnPreparedCall[T event.Payload, P any](
	prepare func(ctx context.Context, tx *Tx, e event.Of[T]) (P, error),
	do func(ctx context.Context, e event.Of[T], prepared P) (Record, error),
) Option {
	return func(w *Worker) {
		t := w.hear(typeOf[T]())
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
				return do(ctx, of, prepared.(P))
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
func (k desk) handleCall(ctx context.Context, e event.Any, c call) (outcome, error) {
	handled, err := k.db.Handled(ctx, k.consumer, e.ID)
	if err != nil || handled {
		return outcome{}, err
	}
	prepared, done, err := k.prepare(ctx, e, c)
	if err != nil || done.handled > 0 {
		return done, err
	}
	var record Record
	calling, cancel := context.WithTimeout(ctx, callTime)
	err = guard(func() (err error) { record, err = c.make(calling, e, prepared); return err })
	cancel()
	if err != nil {
		return outcome{}, err
	}
	return k.transact(ctx, func(tx *Tx) (int, error) {
		fresh, err := tx.Claim(ctx, k.consumer, []uuid.UUID{e.ID})
		if err != nil || !fresh[e.ID] || record == nil {
			return len(fresh), err
		}
		return 1, guard(func() error { return record(ctx, tx) })
	})
}

// prepare runs a call's preparation; the outcome counts one message when that was all.
func (k desk) prepare(ctx context.Context, e event.Any, c call) (prepared any, done outcome, err error) {
	if c.prepare == nil {
		return nil, outcome{}, nil
	}
	done, err = k.transact(ctx, func(tx *Tx) (int, error) {
		err := guard(func() (err error) { prepared, err = c.prepare(ctx, tx, e); return err })
		if !errors.Is(err, ErrNoCall) {
			return 0, err
		}
		_, err = tx.Claim(ctx, k.consumer, []uuid.UUID{e.ID})
		return 1, err
	})
	return prepared, done, err
}
