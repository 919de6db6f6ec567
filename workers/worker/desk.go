package worker

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/inbox"
)

// desk is where a worker's messages are handled: read, claimed, handled, their
// consequences said, all of it committed. It knows the database and no broker;
// slots stand behind it, and Worker.Handle does for tests.
type desk struct {
	worker   Worker
	db       *store.DB
	consumer inbox.ConsumerID
}

// message is a delivery and, unless its worker takes messages as they are, the event in it.
type message struct {
	rabbitmq.Delivery
	event event.Any
	// prepared is what its call's preparation gave, when isPrepared.
	prepared   any
	isPrepared bool
}

// outcome is what came of a transaction: how many messages were new, and what they caused.
type outcome struct {
	handled int
	emitted []event.Any
}

// Handle handles deliveries as a slot handles a batch, once and without a
// broker: the verdict is returned instead of carried out. It gives what was
// emitted. It is what package workertest stands on.
func (w Worker) Handle(ctx context.Context, db *store.DB, deliveries ...rabbitmq.Delivery) ([]event.Any, error) {
	consumer, err := w.register(ctx, db)
	if err != nil {
		return nil, err
	}
	messages := make([]message, len(deliveries))
	for i, d := range deliveries {
		if messages[i], err = w.read(d); err != nil {
			return nil, err
		}
	}
	size := max(1, len(messages))
	if w.makesCalls() {
		size = 1 // calls share no transaction
	}
	var emitted []event.Any
	for together := range slices.Chunk(messages, size) {
		done, err := desk{w, db, consumer}.handle(ctx, together)
		if err != nil {
			return nil, err
		}
		emitted = append(emitted, done.emitted...)
	}
	return emitted, nil
}

// subscribe registers what the worker owes; one that owes nothing is no consumer.
// From then on its gates are those of the database.
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

// read decodes the event, unless the worker takes messages as they are. Only
// what did not come through the log has not been held against its schema yet.
// The routing key decides nothing: a message moved by hand has its queue's name
// for a key. Every error is a rejection.
func (w Worker) read(d rabbitmq.Delivery) (message, error) {
	if w.messages != nil {
		return message{Delivery: d}, nil
	}
	decode := event.Decode
	if d.LogSeq() <= 0 {
		decode = event.DecodeOutside
	}
	e, err := decode(d.Body)
	switch {
	case err != nil:
		return message{}, Reject(err)
	case d.Type != "" && d.Type != string(e.Type):
		return message{}, Reject(fmt.Errorf("the message's type property is %q, its envelope's eventType %q", d.Type, e.Type))
	case !slices.Contains(w.types, e.Type) && !slices.Contains(w.former, e.Type):
		return message{}, Reject(fmt.Errorf("worker %s does not hear %s", w.name, e.Type))
	}
	e.LogSeq = max(0, d.LogSeq())
	return message{Delivery: d, event: e}, nil
}

// handle is the one transaction of a batch.
func (k desk) handle(ctx context.Context, messages []message) (outcome, error) {
	if k.worker.messages != nil {
		return k.handleMessages(ctx, messages)
	}
	if len(messages) == 1 {
		if c, ok := k.worker.calls[messages[0].event.Type]; ok {
			return k.handleCall(ctx, messages[0], c)
		}
	}
	return k.transact(ctx, func(tx *Tx) (int, error) {
		events, err := k.claim(ctx, tx, messages)
		if err != nil || len(events) == 0 {
			return 0, err
		}
		return len(events), guard(func() error { return k.worker.apply(ctx, tx, events) })
	})
}

// handleMessages hands messages to a worker that takes them as they are.
func (k desk) handleMessages(ctx context.Context, messages []message) (outcome, error) {
	deliveries := make([]rabbitmq.Delivery, len(messages))
	for i, m := range messages {
		deliveries[i] = m.Delivery
	}
	return k.transact(ctx, func(tx *Tx) (int, error) {
		return len(deliveries), guard(func() error { return k.worker.messages(ctx, tx, deliveries) })
	})
}

// claim gives the events of the messages that are new to the worker, each once, in arrival order.
func (k desk) claim(ctx context.Context, tx *Tx, messages []message) ([]event.Any, error) {
	events := make([]event.Any, len(messages))
	ids := make([]uuid.UUID, len(messages))
	for i, m := range messages {
		events[i], ids[i] = m.event, m.event.ID
	}
	if k.worker.idempotent {
		return events, nil
	}
	fresh, err := inbox.Claim(ctx, tx, k.consumer, ids)
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
	failpoint.Hit("worker.claimed")
	return kept, nil
}

// apply calls the worker's handler: once for all in a batch worker, else once an event.
func (w Worker) apply(ctx context.Context, tx *Tx, events []event.Any) error {
	if w.batched != nil {
		return w.batched(ctx, tx, events)
	}
	for _, e := range events {
		if err := w.each[e.Type](ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

// transact runs do, which says how many messages it handled, in a transaction,
// appends what was emitted, and commits.
func (k desk) transact(ctx context.Context, do func(tx *Tx) (int, error)) (done outcome, err error) {
	err = k.db.InTx(ctx, func(stx store.Tx) error {
		tx := newTx(stx, k.worker.name)
		handled, err := do(tx)
		done = outcome{handled, tx.emitted}
		if err != nil {
			return err
		}
		failpoint.Hit("worker.handled")
		return tx.flush(ctx)
	})
	if err != nil {
		return outcome{}, err
	}
	return done, nil
}

// guard turns a handler's panic into its error: one message's bug must not take
// the fleet down.
func guard(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}
