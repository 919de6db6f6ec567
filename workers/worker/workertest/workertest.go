// Package workertest tests workers on a real database and a real broker.
//
// Handle runs a declared worker on events without a broker. The code is that of a
// slot: it decodes, claims, handles, emits and commits; but the handler's error is
// returned to the test, and no failure policy applies.
//
// Env is a test environment: a database and a virtual host of the test's own, and
// parts of the fleet (workers, ticker, relay) that the test starts on them, with
// their logs and metrics. Tests wait by Eventually and Wait, which end the test
// with a sentence that names what did not happen.
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
// it emitted. An error is the handler's, or an event could not be decoded; then
// nothing was changed. It is worker.ErrRejected where the message would become a
// dead letter at once.
func Handle(t testing.TB, db *store.DB, w worker.Worker, events ...event.Any) (emitted []event.Any, err error) {
	t.Helper()
	deliveries := make([]rabbitmq.Delivery, len(events))
	for i, e := range events {
		deliveries[i] = Delivery(e)
	}
	return Deliver(t, db, w, deliveries...)
}

// Deliver is Handle for messages: with headers of the test's own, or with a body
// that is no event.
func Deliver(t testing.TB, db *store.DB, w worker.Worker, deliveries ...rabbitmq.Delivery) (emitted []event.Any, err error) {
	t.Helper()
	return w.Handle(t.Context(), db, deliveries...)
}

// Delivery is the message in which an event reaches a worker for the first time:
// from the relay when it has a log position or is of a type that only workers emit,
// else from an external publisher.
func Delivery(e event.Any) rabbitmq.Delivery {
	d := rabbitmq.Delivery{Message: rabbitmq.Message{
		Exchange: topology.Events, RoutingKey: e.Type.RoutingKey(), ID: e.ID.String(), Type: string(e.Type), Body: e.Body, Timestamp: e.Timestamp,
	}}
	if known, _ := event.Lookup(e.Type); e.LogSeq != 0 || !known.Outside {
		d.Headers, d.OwnUser = map[string]any{rabbitmq.HeaderLogSeq: max(1, e.LogSeq)}, true
	}
	return d
}
