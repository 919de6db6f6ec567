// Package intake sees to it that the log has the events that external publishers
// send straight over AMQP.
//
// The exchange delivers such an event to every worker bound to its type, but the
// log, from which the relay publishes, lacks it. Each worker admits what it gets, in
// the transaction that handles it (workers/worker/origin.go), marked as published.
// Intake subscribes to all external types, so that an event that no other worker
// consumes is logged too, and one that others have not got to is logged soon. It
// consumes these messages, and not those that the relay publishes. When one of the
// latter comes all the same (an older fleet's binding is still there, a person has
// moved it) and its event stands at the log position that its header x-log-seq
// names, it is passed over. An event whose id was admitted with another body is
// rejected.
package intake

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the intake worker. Admission recognises the events that it has
// admitted, so there is no inbox.
func New() worker.Worker {
	return worker.New("intake", worker.Idempotent(), worker.ExternalOnly(), worker.OnBatch(nothing, externalTypes()...), worker.Linger(50*time.Millisecond))
}

// externalTypes are the types that external publishers may send.
func externalTypes() []event.Type {
	var types []event.Type
	for _, t := range event.Types() {
		if d, ok := event.Lookup(t); ok && d.Outside {
			types = append(types, t)
		}
	}
	return types
}

// nothing is left to do: the harness has admitted the events.
func nothing(context.Context, *worker.Tx, []event.Any) error { return nil }
