// Package intake writes into the log what came straight over AMQP.
//
// Whoever publishes to composerp.events directly is heard by every worker bound
// to the event's type, but the log, which the relay feeds the exchange from, does
// not know of it. Intake hears these messages, and not those that the relay publishes.
// Should one of them come all the same (an older fleet's binding is still there,
// somebody has moved it by hand), and that very event stand at the place that its
// header x-log-seq names, it is passed over; the rest is admitted, marked as
// published. An event whose id was
// admitted with another body is refused: it goes to the dead letters.
package intake

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the intake worker. Admission tells by itself what it has seen, so
// there is no inbox.
func New() worker.Worker {
	return worker.New("intake", worker.Idempotent(), worker.ExternalOnly(), worker.OnBatch(admit, outside()...), worker.Linger(50*time.Millisecond))
}

// outside are the types that outsiders say.
func outside() []event.Type {
	var types []event.Type
	for _, t := range event.Types() {
		if d, ok := event.Lookup(t); ok && d.Outside {
			types = append(types, t)
		}
	}
	return types
}

func admit(ctx context.Context, tx *worker.Tx, events []event.Any) error {
	logged, err := eventlog.Contains(ctx, tx, events)
	if err != nil {
		return err
	}
	var fresh []event.Any
	for _, e := range events {
		switch {
		case e.LogSeq == 0: // looked at even beside its original: it may have another body
			fresh = append(fresh, e)
		case !logged[e.ID]: // the place it names is another's, so nobody has held it against its schema
			if err := event.Validate(e.Body); err != nil {
				return worker.Reject(err)
			}
			fresh = append(fresh, e)
		}
	}
	verdicts, err := eventlog.Admit(ctx, tx, fresh, false)
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		if v == eventlog.Conflict {
			return worker.Reject(fmt.Errorf("event %s is in the log already, with another body", fresh[i].ID))
		}
	}
	return nil
}
