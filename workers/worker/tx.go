package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/replay"
	"github.com/composerp/composerp/store/versions"
)

// Tx is the transaction that a handler works in. The functions of the packages
// under store/ take it; it emits events; the harness alone ends it.
type Tx struct {
	storeTx // unexported: a handler must not come to the transaction's owner by it

	owner  *store.Transaction
	worker string
	// versions says in which version to emit a type; nil: in the older one, where a type has one.
	versions *versions.Watch
	// cause is the event that On or OnCall handles; it has no id in OnBatch and Every.
	cause    event.Envelope
	emitted  []event.Any
	ordinals map[uuid.UUID]int // how many events each cause has had emitted

	began   time.Time
	claimed []message // the messages whose events are new to the worker

	again    []replay.Copy // events that a replay has the worker handle again
	consumer inbox.ConsumerID
}

type storeTx = store.Tx

// errNoCause is a mistake in a handler of several events or of none.
var errNoCause = errors.New("the harness knows no single cause here: name it by tx.For(cause)")

// Emit appends an event to the log when the transaction commits; the relay
// publishes it from there. Its cause is the event being handled: see Emitter.Emit.
func (tx *Tx) Emit(aggregateID string, sequence int64, payload event.Payload) error {
	return tx.For(tx.cause).Emit(aggregateID, sequence, payload)
}

// For is an emitter for the events that cause leads to. OnBatch needs it, which
// has several causes in hand, and Every, which has none but the row that is due.
func (tx *Tx) For(cause event.Envelope) Emitter { return Emitter{tx, cause} }

// Emitter emits the events that one event causes.
type Emitter struct {
	tx    *Tx
	cause event.Envelope
}

// Emit appends an event to the log when the transaction commits. Its id follows
// from the worker, the cause and the number of events that the cause has had
// emitted before, so that handling the cause again emits the same ids. Tenant,
// business time, correlation and trace are the cause's. sequence is the
// aggregate's version number, 0 if it has none. An event that cannot be made, such
// as one whose sum has more digits than an event carries, is a rejection: the same
// cause would lead to it again.
func (e Emitter) Emit(aggregateID string, sequence int64, payload event.Payload) error {
	tx := e.tx
	if e.cause.ID == uuid.Nil {
		return fmt.Errorf("emitting %s: %w", payload.EventType(), errNoCause)
	}
	ordinal := tx.ordinals[e.cause.ID]
	derived, err := event.DeriveIn(tx.versions.Version(payload.EventType()), tx.worker, e.cause, ordinal, aggregateID, sequence, payload)
	if err != nil {
		return Reject(fmt.Errorf("emitting %s: %w", payload.EventType(), err))
	}
	if tx.ordinals == nil {
		tx.ordinals = map[uuid.UUID]int{}
	}
	tx.ordinals[e.cause.ID] = ordinal + 1
	tx.emitted = append(tx.emitted, derived)
	return nil
}

// EmitDue emits an event that is due by the business date, such as a forecast. Its
// id follows from the worker, the tenant, the key and the date, whatever the cause
// is; tenant, business time and trace are the cause's, which may have no id.
func (e Emitter) EmitDue(key string, date event.Date, aggregateID string, payload event.Payload) error {
	tx, cause := e.tx, e.cause
	id := event.TimerID(tx.worker, cause.TenantID+"\x00"+key, string(date))
	due, err := event.Encode(event.Envelope{
		Version: tx.versions.Version(payload.EventType()),
		ID:      id, TenantID: cause.TenantID, AggregateID: aggregateID, Timestamp: cause.Timestamp,
		Metadata: event.Metadata{
			Source: tx.worker, CorrelationID: cmp.Or(cause.Metadata.CorrelationID, id.String()), CausationID: causation(cause), Traceparent: cause.Metadata.Traceparent,
			History: cause.Metadata.History, Replay: cause.Metadata.Replay, PublishedAt: cause.Metadata.PublishedAt,
		},
	}, payload)
	if err != nil {
		return fmt.Errorf("emitting %s: %w", payload.EventType(), err)
	}
	tx.emitted = append(tx.emitted, due)
	return nil
}

func causation(cause event.Envelope) string {
	if cause.ID == uuid.Nil {
		return ""
	}
	return cause.ID.String()
}

// emit appends the emitted events to the log.
func (tx *Tx) emit(ctx context.Context) error {
	if err := tx.dropEmitted(ctx); err != nil || len(tx.emitted) == 0 {
		return err
	}
	err := eventlog.Append(ctx, tx, tx.emitted)
	failpoint.Hit("worker.appended")
	return err
}

// rollback undoes the transaction unless it is committed. It is deferred with the
// function's error, to which a failed rollback is joined.
func (tx *Tx) rollback(err *error) {
	if undone := tx.owner.Rollback(); *err != nil && undone != nil {
		*err = errors.Join(*err, undone)
	}
}
