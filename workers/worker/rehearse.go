package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
)

// Results of a rehearsal beside success and failure.
var (
	// ErrHandledBefore: the worker's inbox has the event; the message would be passed over.
	ErrHandledBefore = errors.New("the event was handled already")
	// ErrBeforeCall: everything goes well up to the call to the outside world, which was not made.
	ErrBeforeCall = errors.New("the rehearsal ends before the call")
)

// Rehearse tries what the worker would do with a message, in a transaction that is
// rolled back: nothing is written or emitted, and no call is made. nil means that
// the message would be handled. ErrHandledBefore and ErrBeforeCall mean that the
// rehearsal ended earlier, ErrRejected that the message would become a dead letter
// at once, and any other error is the one it would be retried for. Emitted events
// are checked against their schemas and the log's tables; errors that only a commit
// finds are not found.
func (w Worker) Rehearse(ctx context.Context, db *store.DB, d rabbitmq.Delivery) error {
	p := processor{worker: w, db: db, bounds: new(eventlog.Bounds)}
	logged, err := p.logged(ctx, []rabbitmq.Delivery{d})
	if err != nil {
		return err
	}
	m, err := w.decode(d, logged[0])
	if err != nil {
		return err
	}
	if w.onMessages != nil {
		return fmt.Errorf("worker %s handles undecoded messages, and has no dead letters", w.name)
	}
	if p.consumer, err = inbox.ConsumerByName(ctx, db, w.name); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if w.TracksInbox() && !m.again {
		handled, err := inbox.Handled(ctx, db, p.consumer, m.event.ID)
		if err != nil {
			return err
		}
		if handled {
			return ErrHandledBefore
		}
	}
	if c, is := w.onCall[m.event.Type]; is {
		if m.followsReplay() {
			return nil // it makes no call
		}
		return p.rehearseCall(ctx, m.event, c)
	}
	return p.rehearse(ctx, m)
}

// rehearse is process without the commit.
func (p processor) rehearse(ctx context.Context, m message) error {
	tx, err := p.begin(ctx, event.Envelope{})
	if err != nil {
		return err
	}
	defer tx.owner.Rollback()
	events, err := p.claim(ctx, tx, []message{m}, p.claimSome)
	if err != nil {
		return err
	}
	if len(events) == 0 {
		return ErrHandledBefore // just now, by a slot
	}
	if err := p.handle(ctx, tx, events); err != nil {
		return err
	}
	return tx.emit(ctx)
}

// rehearseCall prepares a call, and does not make it.
func (p processor) rehearseCall(ctx context.Context, e event.Any, c call) error {
	if c.prepare == nil {
		return ErrBeforeCall
	}
	tx, err := p.begin(ctx, e.Envelope)
	if err != nil {
		return err
	}
	defer tx.owner.Rollback()
	prepared, err := prepareIn(ctx, tx, c, e)
	if err == nil && prepared[0] != (noCall{}) {
		return ErrBeforeCall
	}
	return err
}

// Shadow calls the handler with events that a live worker has handled, in a transaction that its caller rolls back. It
// gives what the handler emitted, which is checked against the schemas and not appended to the log. The inbox is not
// asked, and a handler's panic is its error.
func (w Worker) Shadow(ctx context.Context, owner *store.Transaction, events []event.Any) ([]event.Any, error) {
	tx := &Tx{storeTx: owner, owner: owner, worker: w.name}
	err := processor{worker: w}.handle(ctx, tx, events)
	return tx.emitted, err
}

// Handle handles deliveries as a slot handles a batch, once, without a broker and
// without failure policies: the handler's error is returned. It gives what was
// emitted. Package workertest uses it.
func (w Worker) Handle(ctx context.Context, db *store.DB, deliveries ...rabbitmq.Delivery) ([]event.Any, error) {
	consumer, err := w.register(ctx, db)
	if err != nil {
		return nil, err
	}
	p := processor{worker: w, db: db, consumer: consumer, bounds: new(eventlog.Bounds)}
	logged, err := p.logged(ctx, deliveries)
	if err != nil {
		return nil, err
	}
	messages := make([]message, len(deliveries))
	for i, d := range deliveries {
		if messages[i], err = w.decode(d, logged[i]); err != nil {
			return nil, err
		}
	}
	size := max(1, len(messages))
	if w.makesCalls() {
		size = 1 // calls share no transaction
	}
	var emitted []event.Any
	for batch := range slices.Chunk(messages, size) {
		done, err := p.process(ctx, batch)
		if err != nil {
			return nil, err
		}
		emitted = append(emitted, done.emitted...)
	}
	return emitted, nil
}
