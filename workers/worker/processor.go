package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/delays"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/parking"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers/worker/recent"
	"github.com/composerp/composerp/workers/worker/spans"
	"github.com/composerp/composerp/workers/worker/timing"
)

// processor is the middle of the chain, and knows no broker: decode, claim, handle,
// emit, commit. A slot calls it under its failure policies; Worker.Handle calls it
// for tests, without any.
type processor struct {
	worker   Worker
	db       *store.DB
	consumer inbox.ConsumerID
	bounds   *eventlog.Bounds
	lane     *lanes.Lane   // that its transactions must own; nil: none
	batch    *timing.Batch // nil: late deliveries are not kept
	spans    *spans.Recorder
	versions *versions.Watch // in which versions to emit
}

// message is a delivery and, but for OnMessages, the event in it.
type message struct {
	rabbitmq.Delivery
	event event.Any
	// prepared is what the preparation of its call gave, when isPrepared.
	prepared   any
	isPrepared bool

	// replayed: a replay published it; again: it is handled whether the inbox has it or not.
	replayed, again bool

	times    delay.Times // until its batch began
	measured bool        // they begin with the event's birth
}

// outcome is what a transaction did: how many messages were new, and what they emitted.
type outcome struct {
	handled int
	emitted []event.Any
	claimed []message // those that were new
	parked  int       // messages kept back behind an event that failed
	// advanced: the event that an aggregate waited for was handled.
	advanced bool
	silent   bool // a call that a replay has left out
}

// decoded has the events of this process's workers.
var decoded recent.Events

// decode reads the event in a message. Only events that did not come through the
// log are checked against their schema, which the log has done. The routing key
// decides nothing: of a message moved by hand it is its queue's name. Every error
// is a rejection.
func (w Worker) decode(d rabbitmq.Delivery, logged bool) (message, error) {
	if w.onMessages != nil {
		return message{Delivery: d}, nil
	}
	if wrong := d.Unreadable(); wrong != "" {
		return message{}, Reject(fmt.Errorf("the message cannot be read: %s", wrong))
	}
	var e event.Any
	var err error
	if logged {
		e, err = decoded.Decode(d.LogSeq(), d.Body)
	} else {
		e, err = decodeExternal(d)
	}
	switch {
	case err != nil:
		return message{}, Reject(err)
	case d.Type != "" && d.Type != string(e.Type):
		return message{}, Reject(fmt.Errorf("the message's type property is %q, its envelope's eventType %q", d.Type, e.Type))
	case !slices.Contains(w.types, e.Type) && !slices.Contains(w.former, e.Type):
		return message{}, Reject(fmt.Errorf("worker %s does not subscribe to %s", w.name, e.Type))
	}
	if version, only := w.Reads[e.Type]; only {
		if e.Body, err = event.Convert(e.Body, version); err != nil {
			return message{}, Reject(err)
		}
	}
	m := message{Delivery: d, event: e}
	if logged {
		m.mark()
	}
	return m, nil
}

// process brings messages to their effects in one transaction. A call is made
// outside of it: see processCall.
func (p processor) process(ctx context.Context, messages []message) (outcome, error) {
	if len(messages) == 1 {
		if c, is := p.worker.onCall[messages[0].event.Type]; is {
			if messages[0].followsReplay() {
				return p.silence(ctx, messages[0])
			}
			return p.processCall(ctx, messages[0], c)
		}
	}
	if p.worker.onMessages != nil {
		return p.inTx(ctx, event.Envelope{}, func(tx *Tx) (int, error) {
			return len(messages), p.handleMessages(ctx, tx, messages)
		})
	}
	if mayAllBeNew(messages) {
		done, err := p.inTx(ctx, event.Envelope{}, func(tx *Tx) (int, error) {
			events, err := p.claim(ctx, tx, messages, p.claimNew)
			if err != nil {
				return 0, err
			}
			return len(events), p.handle(ctx, tx, events)
		})
		if !errors.Is(err, inbox.ErrClaimed) && !errors.Is(err, inbox.ErrHeld) {
			return done, err
		}
	}
	return p.claimAndHandle(ctx, messages)
}

// claimAndHandle handles those messages that are new and whose turn it is.
func (p processor) claimAndHandle(ctx context.Context, messages []message) (outcome, error) {
	parked, advanced := 0, false
	done, err := p.inTx(ctx, event.Envelope{}, func(tx *Tx) (int, error) {
		free, heads, err := p.park(ctx, tx, messages)
		if parked = len(messages) - len(free); err != nil || len(free) == 0 {
			return 0, err
		}
		events, err := p.claim(ctx, tx, free, p.claimSome)
		if err != nil {
			return 0, err
		}
		if err := p.handle(ctx, tx, events); err != nil || len(heads) == 0 {
			return len(events), err
		}
		advanced, err = parking.Advance(ctx, tx, p.worker.name, heads)
		return len(events), err
	})
	done.parked, done.advanced = parked, advanced
	return done, err
}

// claimer enters events in the inbox, and gives those that are new to the worker, each once, in arrival order.
type claimer func(ctx context.Context, tx *Tx, events []event.Any, ids []uuid.UUID) ([]event.Any, error)

// claim enters the messages' events in the inbox, and gives those that are to be handled.
func (p processor) claim(ctx context.Context, tx *Tx, messages []message, by claimer) ([]event.Any, error) {
	events, ids := eventsOf(messages), make([]uuid.UUID, len(messages))
	for i := range events {
		ids[i] = events[i].ID
	}
	tx.again = copiesAgain(messages)
	if err := p.admit(ctx, tx, events); err != nil || p.worker.idempotent {
		tx.claimed = messages
		return events, err
	}
	fresh, err := by(ctx, tx, events, ids)
	if err != nil {
		return nil, err
	}
	failpoint.Hit("worker.claimed")
	tx.claimed = messagesOf(messages, fresh)
	return fresh, p.checkTimes(ctx, tx, fresh)
}

// messagesOf are the messages of those events among theirs.
func messagesOf(messages []message, events []event.Any) []message {
	if len(events) == len(messages) {
		return messages
	}
	of := make([]message, 0, len(events))
	for _, m := range messages { // events are in the order of messages, each once
		if len(of) < len(events) && m.event.ID == events[len(of)].ID {
			of = append(of, m)
		}
	}
	return of
}

// mayAllBeNew tells whether nothing says that an event among the messages was handled before. Events come twice seldom:
// after a lost connection, which marks them, after the relay ended before it moved its cursor, and in a replay.
func mayAllBeNew(messages []message) bool {
	seen := make(map[uuid.UUID]bool, len(messages))
	for _, m := range messages {
		if m.Redelivered || m.replayed || seen[m.event.ID] {
			return false
		}
		seen[m.event.ID] = true
	}
	return true
}

// claimNew refuses all events when one was claimed before, or when one may have to wait: most batches have neither.
func (p processor) claimNew(ctx context.Context, tx *Tx, events []event.Any, ids []uuid.UUID) ([]event.Any, error) {
	if p.worker.ordered {
		return events, inbox.ClaimNewUnheld(ctx, tx, p.consumer, ids)
	}
	return events, inbox.ClaimNew(ctx, tx, p.consumer, ids)
}

func (p processor) claimSome(ctx context.Context, tx *Tx, events []event.Any, ids []uuid.UUID) ([]event.Any, error) {
	fresh, err := inbox.Claim(ctx, tx, p.consumer, ids)
	if err == nil {
		err = tx.claimAgain(ctx, p.consumer, fresh)
	}
	if err != nil {
		return nil, err
	}
	kept := events[:0]
	for _, e := range events {
		if fresh[e.ID] {
			kept = append(kept, e)
			fresh[e.ID] = false // a second copy in the same batch is a duplicate too
		}
	}
	return kept, nil
}

// handle calls the worker's handler: once for a batch, or once an event.
func (p processor) handle(ctx context.Context, tx *Tx, events []event.Any) (err error) {
	if len(events) == 0 {
		return nil
	}
	defer recovered(&err)
	if p.worker.onBatch != nil {
		return p.worker.onBatch(ctx, tx, events)
	}
	for _, e := range events {
		tx.cause = e.Envelope
		if err := p.worker.onEvent[e.Type](ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

func (p processor) handleMessages(ctx context.Context, tx *Tx, messages []message) (err error) {
	defer recovered(&err)
	deliveries := make([]rabbitmq.Delivery, len(messages))
	for i, m := range messages {
		deliveries[i] = m.Delivery
	}
	return p.worker.onMessages(ctx, tx, deliveries)
}

// inTx runs do in a transaction of its own: do gives how many messages it handled.
// What it emitted is appended and committed with its effects and the inbox rows.
func (p processor) inTx(ctx context.Context, cause event.Envelope, do func(tx *Tx) (int, error)) (done outcome, err error) {
	tx, err := p.begin(ctx, cause)
	if err != nil {
		return outcome{}, err
	}
	defer tx.rollback(&err)
	if p.lane != nil {
		if err := lanes.Hold(ctx, tx, *p.lane); err != nil {
			return outcome{}, err
		}
	}
	handled, err := do(tx)
	if err != nil {
		return outcome{}, err
	}
	failpoint.Hit("worker.handled")
	if err := tx.emit(ctx); err != nil {
		return outcome{}, err
	}
	if err := p.keepLate(ctx, tx); err != nil {
		return outcome{}, err
	}
	if err := tx.owner.Commit(); err != nil {
		return outcome{}, err
	}
	return outcome{handled: handled, emitted: tx.emitted, claimed: tx.claimed}, nil
}

// keepLate keeps where the time of those deliveries went that are late.
func (p processor) keepLate(ctx context.Context, tx *Tx) error {
	if p.batch == nil || len(tx.claimed) == 0 || p.worker.idempotent {
		return nil
	}
	if err := p.batch.AskLocks(ctx, tx, tx.began); err != nil {
		return err
	}
	now, late := time.Now(), []delays.Late(nil)
	for i := range tx.claimed {
		if !p.batch.MayBeLate(&tx.claimed[i].times, now) {
			continue // its times end once, after the commit
		}
		times := tx.claimed[i].times
		p.batch.End(&times, now)
		if timing.IsLate(&times) {
			late = append(late, delays.Late{EventID: tx.claimed[i].event.ID, Times: times})
		}
	}
	if len(late) == 0 {
		return nil
	}
	return delays.Record(ctx, tx, p.worker.name, now, late)
}

// begin opens a transaction, which its caller ends.
func (p processor) begin(ctx context.Context, cause event.Envelope) (*Tx, error) {
	owner, err := p.db.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &Tx{storeTx: owner, owner: owner, worker: p.worker.name, versions: p.versions, cause: cause, began: time.Now()}, nil
}

// recovered turns a handler's panic into its error: a mistake in one handler must
// not end the process. It is deferred.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
	}
}

// guard runs a part of a handler and turns its panic into its error.
func guard(do func() error) (err error) {
	defer recovered(&err)
	return do()
}

// register enters the worker as a consumer of the inbox, unless it keeps no inbox.
// From then on its circuit breakers are those of the database.
func (w Worker) register(ctx context.Context, db *store.DB) (inbox.ConsumerID, error) {
	if w.breakers != nil {
		w.breakers.db.Store(db)
	}
	if !w.TracksInbox() {
		return 0, nil
	}
	types := make([]string, len(w.types))
	for i, t := range w.types {
		types[i] = string(t)
	}
	return inbox.Subscribe(ctx, db, w.name, types)
}
