package worker

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
)

type (
	eventHandler    func(ctx context.Context, tx *Tx, e event.Any) error
	batchHandler    func(ctx context.Context, tx *Tx, events []event.Any) error
	messagesHandler func(ctx context.Context, tx *Tx, messages []rabbitmq.Delivery) error
)

// On handles one event in the transaction that the handler is given. A worker may
// have an On for each of several types.
//
// The handler's error is the outcome: after nil the event is done; after Reject the
// message becomes a dead letter at once; after Unavailable it waits for its
// dependency and keeps its attempts; after any other error it is retried.
func On[T event.Payload](handle func(ctx context.Context, tx *Tx, e event.Of[T]) error) Option {
	return func(w *Worker) {
		t := w.subscribe(typeOf[T]())
		w.onEvent[t] = func(ctx context.Context, tx *Tx, e event.Any) error {
			of, err := as[T](e)
			if err != nil {
				return err
			}
			return handle(ctx, tx, of)
		}
	}
}

// OnBatch handles all events of a batch at once, of all the types, in arrival
// order and in one transaction. It is for set-based handlers. After an error the
// harness calls it again with one event at a time, so that the outcome is that of
// the event that failed.
func OnBatch(handle func(ctx context.Context, tx *Tx, events []event.Any) error, types ...event.Type) Option {
	return func(w *Worker) {
		if w.onBatch != nil {
			panic(fmt.Sprintf("worker %s: it has two OnBatch", w.name))
		}
		for _, t := range types {
			w.subscribe(t)
		}
		w.onBatch = handle
	}
}

// OnMessages handles undecoded messages of a queue that is not the worker's own.
// There is no inbox: the handler must recognise by itself the messages that it
// has handled.
func OnMessages(queue string, handle func(ctx context.Context, tx *Tx, messages []rabbitmq.Delivery) error) Option {
	return func(w *Worker) { w.queue, w.onMessages, w.idempotent = queue, handle, true }
}

func typeOf[T event.Payload]() event.Type {
	var zero T
	return zero.EventType()
}

func as[T event.Payload](e event.Any) (event.Of[T], error) {
	of, ok := event.As[T](e)
	if !ok {
		return of, Reject(fmt.Errorf("event %s of type %s has a payload of another type", e.ID, e.Type))
	}
	return of, nil
}
