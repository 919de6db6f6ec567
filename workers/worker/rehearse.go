package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/inbox"
)

// What a rehearsal may come to beside success and failure.
var (
	// ErrHandledBefore: the worker's inbox has the event; the message would be passed over.
	ErrHandledBefore = errors.New("the event was handled already")
	// ErrBeforeCall: everything goes well up to the call to the outside world, which was not made.
	ErrBeforeCall = errors.New("the rehearsal ends before the call")
)

// errRehearsed rolls back what went well.
var errRehearsed = errors.New("rehearsed")

// Rehearse tries what the worker would do about a message that arrived now, in a
// transaction that is rolled back: nothing is written, nothing is said, and no
// call is made. nil means that it would be handled; ErrHandledBefore and
// ErrBeforeCall that the rehearsal did not come so far; what is ErrRejected, that
// the message would die at once; anything else is the failure it would be tried
// again for. What was said is held against its schema and against the log's
// tables, but what only a commit finds is not found.
func (w Worker) Rehearse(ctx context.Context, db *store.DB, d rabbitmq.Delivery) error {
	m, err := w.read(d)
	if err != nil {
		return err
	}
	if w.messages != nil {
		return fmt.Errorf("worker %s takes messages as they are, and has no dead letters", w.name)
	}
	k := desk{worker: w, db: db}
	if k.consumer, err = inbox.ConsumerByName(ctx, db, w.name); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if w.TracksInbox() {
		handled, err := inbox.Handled(ctx, db, k.consumer, m.event.ID)
		if err != nil {
			return err
		}
		if handled {
			return ErrHandledBefore
		}
	}
	if c, ok := w.calls[m.event.Type]; ok {
		return k.rehearseCall(ctx, m.event, c)
	}
	return k.rehearse(ctx, func(tx *Tx) error {
		events, err := k.claim(ctx, tx, []message{m})
		if err != nil {
			return err
		}
		if len(events) == 0 {
			return ErrHandledBefore // just now, by another
		}
		return guard(func() error { return w.apply(ctx, tx, events) })
	})
}

// rehearse is transact without a commit.
func (k desk) rehearse(ctx context.Context, do func(tx *Tx) error) error {
	err := k.db.InTx(ctx, func(stx store.Tx) error {
		tx := newTx(stx, k.worker.name)
		if err := do(tx); err != nil {
			return err
		}
		if err := tx.flush(ctx); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}

// rehearseCall prepares a call, and makes none.
func (k desk) rehearseCall(ctx context.Context, e event.Any, c call) error {
	if c.prepare == nil {
		return ErrBeforeCall
	}
	err := k.rehearse(ctx, func(tx *Tx) error {
		return silent(tx, func() error { _, err := c.prepare(ctx, tx, e); return err })
	})
	switch {
	case err == nil:
		return ErrBeforeCall
	case errors.Is(err, ErrNoCall):
		return nil
	}
	return err
}
