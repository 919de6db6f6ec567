// Package workertest runs a declared worker on events against a real database,
// without a broker. It does what a slot does with a batch: the same code reads,
// claims, handles, appends and commits; only the verdict is handed to the test
// instead of being carried out.
package workertest

import (
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/worker"
)

// Handle lets w handle events as one batch, in one transaction, and gives what
// it emitted. An error is the handler's verdict, or says that an event could not
// be read; then nothing was changed. It is worker.ErrRejected where the message
// would go to the dead letters at once.
func Handle(t testing.TB, db *store.DB, w worker.Worker, events ...event.Any) (emitted []event.Any, err error) {
	t.Helper()
	deliveries := make([]rabbitmq.Delivery, len(events))
	for i, e := range events {
		deliveries[i] = Delivery(e)
	}
	return Deliver(t, db, w, deliveries...)
}

// Deliver is Handle for messages as the broker hands them out: with headers of
// the test's own, or with a body that is no event.
func Deliver(t testing.TB, db *store.DB, w worker.Worker, deliveries ...rabbitmq.Delivery) (emitted []event.Any, err error) {
	t.Helper()
	return w.Handle(t.Context(), db, deliveries...)
}

// Delivery is the message in which an event reaches a worker for the first time.
func Delivery(e event.Any) rabbitmq.Delivery {
	d := rabbitmq.Delivery{Message: rabbitmq.Message{
		Exchange: topology.Events, RoutingKey: e.Type.RoutingKey(), ID: e.ID.String(), Type: string(e.Type), Body: e.Body, Timestamp: e.Timestamp,
	}}
	if e.LogSeq != 0 {
		d.Headers = map[string]any{rabbitmq.HeaderLogSeq: e.LogSeq}
	}
	return d
}
