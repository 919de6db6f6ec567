package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
)

// message is a delivery and the event in it.
type message struct {
	exchange.Delivery
	event event.Any
}

// handle carries deliveries to their fate: handled and committed, on the ladder,
// or among the dead letters. nil means that all of them may be acknowledged.
func (s *slot) handle(ctx context.Context, deliveries []exchange.Delivery) error {
	if s.Worker.messages != nil {
		return s.handleTogether(ctx, len(deliveries),
			func() error {
				return s.transact(ctx, func(tx *Tx) error { return s.Worker.messages(ctx, tx, deliveries) })
			},
			func(i int) error {
				return s.transact(ctx, func(tx *Tx) error { return s.Worker.messages(ctx, tx, deliveries[i:i+1]) })
			},
			func(i int, err error) error { return s.judge(ctx, deliveries[i], err) })
	}
	messages := make([]message, 0, len(deliveries))
	for _, d := range deliveries {
		e, err := s.decode(d)
		if err != nil {
			if err := s.judge(ctx, d, Reject(err)); err != nil {
				return err
			}
			continue
		}
		messages = append(messages, message{d, e})
	}
	if len(messages) == 0 {
		return nil
	}
	if len(s.Worker.calls) > 0 {
		return s.handleInTurn(ctx, messages)
	}
	return s.handleTogether(ctx, len(messages),
		func() error { return s.handleEvents(ctx, messages) },
		func(i int) error { return s.handleEvents(ctx, messages[i:i+1]) },
		func(i int, err error) error { return s.judge(ctx, messages[i].Delivery, err) })
}

// handleTogether tries all n at once; what fails for its own reasons is done
// again one by one, and each failure judged alone.
func (s *slot) handleTogether(ctx context.Context, n int, all func() error, one func(i int) error, judge func(i int, err error) error) error {
	err := s.keep(ctx, all)
	if err == nil || isOurs(ctx, err) {
		return err
	}
	if n == 1 {
		return judge(0, err)
	}
	s.Log.Info("a batch failed; doing it again one by one", "size", n, "error", err)
	for i := range n {
		err := s.keep(ctx, func() error { return one(i) })
		if err != nil && isOurs(ctx, err) {
			return err
		}
		if err != nil {
			if err := judge(i, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// handleInTurn goes through the messages one after the other: calls to the
// outside world share no transaction.
func (s *slot) handleInTurn(ctx context.Context, messages []message) error {
	for i, m := range messages {
		err := s.keep(ctx, func() error {
			if call := s.Worker.calls[m.event.Type]; call != nil {
				return s.handleCall(ctx, m.event, call)
			}
			return s.handleEvents(ctx, messages[i:i+1])
		})
		if err != nil && isOurs(ctx, err) {
			return err
		}
		if err != nil {
			if err := s.judge(ctx, m.Delivery, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// decode reads the event. Only what did not come through the log has not been
// held against its schema yet. The routing key decides nothing: a message moved
// by hand has its queue's name for a key.
func (s *slot) decode(d exchange.Delivery) (event.Any, error) {
	read := event.Decode
	if d.LogSeq() == 0 {
		read = event.DecodeOutside
	}
	e, err := read(d.Body)
	if err != nil {
		return event.Any{}, err
	}
	if d.Type != "" && d.Type != string(e.Type) {
		return event.Any{}, fmt.Errorf("the message's type property is %q, its envelope's eventType %q", d.Type, e.Type)
	}
	for _, t := range s.Worker.types {
		if t == e.Type {
			e.LogSeq = d.LogSeq()
			return e, nil
		}
	}
	return event.Any{}, fmt.Errorf("worker %s does not hear %s", s.Worker.name, e.Type)
}

// handleEvents is the one transaction of a batch.
func (s *slot) handleEvents(ctx context.Context, messages []message) error {
	var handled int
	err := s.transact(ctx, func(tx *Tx) error {
		events, err := s.claim(ctx, tx, messages)
		if err != nil || len(events) == 0 {
			return err
		}
		handled = len(events)
		return s.Worker.apply(ctx, tx, events)
	})
	if err != nil {
		return err
	}
	s.count(outcomeHandled, handled)
	s.count(outcomeDuplicate, len(messages)-handled)
	return nil
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

// claim gives the events of the messages that are new to the worker, each once, in arrival order.
func (s *slot) claim(ctx context.Context, tx *Tx, messages []message) ([]event.Any, error) {
	seen := make(map[uuid.UUID]bool, len(messages))
	ids := make([]uuid.UUID, 0, len(messages))
	events := make([]event.Any, 0, len(messages))
	for _, m := range messages {
		if !seen[m.event.ID] || s.Worker.idempotent {
			seen[m.event.ID] = true
			ids = append(ids, m.event.ID)
			events = append(events, m.event)
		}
	}
	if s.Worker.idempotent {
		return events, nil
	}
	fresh, err := tx.Claim(ctx, s.consumer, ids)
	if err != nil {
		return nil, err
	}
	kept := events[:0]
	for _, e := range events {
		if fresh[e.ID] {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// handleCall asks the inbox, makes the call with no transaction open, and records its answer.
func (s *slot) handleCall(ctx context.Context, e event.Any, call callFunc) error {
	handled, err := s.DB.Handled(ctx, s.consumer, e.ID)
	if err != nil {
		return err
	}
	if handled {
		s.count(outcomeDuplicate, 1)
		return nil
	}
	var record Record
	if err := guard(func() (err error) { record, err = call(ctx, e); return err }); err != nil {
		return err
	}
	err = s.transact(ctx, func(tx *Tx) error {
		fresh, err := tx.Claim(ctx, s.consumer, []uuid.UUID{e.ID})
		if err != nil || !fresh[e.ID] || record == nil {
			return err
		}
		return record(ctx, tx)
	})
	if err == nil {
		s.count(outcomeHandled, 1)
	}
	return err
}

// transact runs do in a transaction, appends what it emitted, and commits.
func (s *slot) transact(ctx context.Context, do func(tx *Tx) error) error {
	return s.DB.InTx(ctx, func(stx *store.Tx) error {
		tx := newTx(stx, s.Worker.name)
		if err := guard(func() error { return do(tx) }); err != nil {
			return err
		}
		return tx.flush(ctx)
	})
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

// Collisions with other transactions are tried again at once, this often.
const collisionRetries = 8

// keep runs do and tries again for as long as the fault is not the message's:
// it waits for a database that is away, and repeats what collided.
func (s *slot) keep(ctx context.Context, do func() error) error {
	backoff, since, collisions := newBackoff(), time.Now(), 0
	paused := false
	defer func() {
		if paused {
			s.Metrics.paused.WithLabelValues(s.Worker.name).Dec()
		}
	}()
	for {
		err := do()
		switch {
		case errors.Is(err, store.ErrRetryable) && collisions < collisionRetries:
			collisions++
		case errors.Is(err, store.ErrUnavailable) && time.Since(since) < keepTime:
			if !paused {
				paused = true
				s.Metrics.paused.WithLabelValues(s.Worker.name).Inc()
			}
			s.Log.Warn("the database is away; keeping what is in hand", "error", err)
		default:
			return err
		}
		if !backoff.wait(ctx) {
			return err
		}
	}
}

// isOurs tells errors that are no message's fault: they end the slot, and the
// broker delivers again.
func isOurs(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrSchema) || errors.Is(err, store.ErrAccess)
}

func (s *slot) count(outcome string, n int) {
	s.Metrics.messages.WithLabelValues(s.Worker.name, outcome).Add(float64(n))
}
