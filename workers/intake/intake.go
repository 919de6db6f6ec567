// Package intake admits to the log the events that external publishers send
// straight over AMQP.
//
// The exchange delivers such an event to every worker bound to its type, but the
// log, from which the relay publishes, lacks it. Intake consumes these messages,
// and not those that the relay publishes. When one of the latter comes all the same
// (an older fleet's binding is still there, a person has moved it) and its event
// stands at the log position that its header x-log-seq names, it is passed over; the
// others are admitted, marked as published. An event whose id was admitted with
// another body is rejected.
package intake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the intake worker. Admission recognises the events that it has
// admitted, so there is no inbox.
func New() worker.Worker {
	return worker.New("intake", worker.Idempotent(), worker.ExternalOnly(), worker.OnBatch(admit, externalTypes()...), worker.Linger(50*time.Millisecond))
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

func admit(ctx context.Context, tx *worker.Tx, events []event.Any) error {
	fresh := slices.DeleteFunc(slices.Clone(events), func(e event.Any) bool { return e.LogSeq > 0 })
	verdicts, err := eventlog.Admit(ctx, tx, fresh, false)
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		if v == eventlog.Conflict {
			return worker.Reject(fmt.Errorf("event %s is in the log already, with another body", fresh[i].ID))
		}
		if refusal := v.Refusal(fresh[i]); refusal != nil {
			return worker.Reject(refusal)
		}
	}
	return nil
}
