package worker

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failpoint"
)

// Tx is the transaction a handler works in: the store's, and a mouth. The
// harness commits it; a handler never does.
type Tx struct {
	store.Tx
	worker   string
	emitted  []event.Any
	ordinals map[uuid.UUID]int
}

func newTx(tx store.Tx, worker string) *Tx {
	return &Tx{Tx: tx, worker: worker, ordinals: map[uuid.UUID]int{}}
}

// Emit says what follows from an event: the new event is appended to the log
// when the transaction commits, and published from there. Its id follows from
// the worker, the cause and how many events it has caused before, so that
// handling the cause again says the same again. Tenant, business time,
// correlation and trace are the cause's. sequence is the aggregate's version
// number, 0 if it has none.
func (tx *Tx) Emit(cause event.Envelope, aggregateID string, sequence int64, payload event.Payload) error {
	ordinal := tx.ordinals[cause.ID]
	e, err := event.Derive(tx.worker, cause, ordinal, aggregateID, sequence, payload)
	if err != nil {
		return fmt.Errorf("emitting %s: %w", payload.EventType(), err)
	}
	tx.ordinals[cause.ID] = ordinal + 1
	tx.emitted = append(tx.emitted, e)
	return nil
}

// Emitted is what has been said so far in this transaction.
func (tx *Tx) Emitted() []event.Any { return tx.emitted }

func (tx *Tx) flush(ctx context.Context) error {
	if len(tx.emitted) == 0 {
		return nil
	}
	err := eventlog.Append(ctx, tx, tx.emitted)
	failpoint.Hit("worker.appended")
	return err
}
