package demo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/outsider"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/planning"
)

// speaker says events on both roads, and waits for what follows from them.
type speaker struct {
	db        *store.DB
	line      outsider.Line
	consumers []string
	patience  time.Duration

	before   int64       // the log's end two waits ago, from where on it is asked what is owed
	since    int64       // the log's end at the last wait
	unlogged []uuid.UUID // published, and not yet seen in the log
}

// logChunk is how many events are admitted in a transaction.
const logChunk = 500

// log says events through the log and gives how many it did not know yet.
func (s *speaker) log(ctx context.Context, events []event.Any) (fresh int, err error) {
	for chunk := range slices.Chunk(events, logChunk) {
		verdicts, err := eventlog.AdmitOnce(ctx, s.db, chunk, true)
		if err != nil {
			return fresh, err
		}
		for i, v := range verdicts {
			switch v {
			case eventlog.Admitted:
				fresh++
			case eventlog.Conflict:
				return fresh, fmt.Errorf("event %s is in the log with other content: another demo was here", chunk[i].ID)
			}
		}
	}
	return fresh, nil
}

// direct publishes to composerp.events as an outsider does, and waits for the
// confirms. A session that was lost is opened again, once: what was published
// twice is handled once.
func (s *speaker) direct(ctx context.Context, events []event.Any) error {
	if len(events) == 0 {
		return nil
	}
	for i := range events {
		s.unlogged = append(s.unlogged, events[i].ID)
	}
	err := s.publish(ctx, events)
	if errors.Is(err, rabbitmq.ErrSessionLost) || errors.Is(err, rabbitmq.ErrUnreachable) {
		s.line.HangUp()
		err = s.publish(ctx, events)
	}
	return err
}

func (s *speaker) publish(ctx context.Context, events []event.Any) error {
	publisher, err := s.line.Publisher(ctx)
	if err != nil {
		return err
	}
	confirmations := make([]*rabbitmq.Confirmation, len(events))
	for i, e := range events {
		var err error
		confirmations[i], err = publisher.Publish(ctx, rabbitmq.Message{
			Exchange: topology.Events, RoutingKey: e.Type.RoutingKey(), ID: e.ID.String(), Type: string(e.Type), Body: e.Body, Timestamp: e.Timestamp,
		})
		if err != nil {
			return fmt.Errorf("publishing %s: %w", e.ID, err)
		}
	}
	for i, c := range confirmations {
		if err := c.Wait(ctx); err != nil {
			return fmt.Errorf("publishing %s: %w", events[i].ID, err)
		}
	}
	return nil
}

// How often it is asked whether the fleet is done: often at first, when a lone
// event has been through in a few milliseconds.
const (
	firstLook = 4 * time.Millisecond
	lastLook  = 60 * time.Millisecond
)

// settle waits until everything that was said, and all that followed from it, is
// handled by everyone who owes it. What is committed with an inbox row is all
// that follows from an event, and what a timer has still to say is due by a row, so
// that when nobody owes anything nothing more comes. It asks from the wait before the last one on: a transaction may be late
// with its number.
func (s *speaker) settle(ctx context.Context) error {
	deadline := time.Now().Add(s.patience)
	var last *eventlog.NewestPending
	for pause := firstLook; ; pause = min(pause*3/2, lastLook) {
		began := time.Now()
		owed, err := s.owed(ctx, &last)
		if err != nil {
			return err
		}
		if owed == "" {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for the fleet: after %s %s", s.patience, owed)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(pause, 2*time.Since(began))): // the look may not be what keeps the fleet from its work
		}
	}
	end, err := eventlog.End(ctx, s.db)
	s.before, s.since = s.since, end
	return err
}

// owed says what is still to be done, "" when nothing is. What was owed at the
// last look is asked for alone first: a look at all of it goes over all that has
// come since.
func (s *speaker) owed(ctx context.Context, last **eventlog.NewestPending) (string, error) {
	missing, err := eventlog.NotAdmitted(ctx, s.db, s.unlogged)
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		s.unlogged = missing
		return fmt.Sprintf("%d published events are not in the log", len(missing)), nil
	}
	s.unlogged = nil
	if o := *last; o != nil {
		*last, err = eventlog.FindNewestPending(ctx, s.db, o.Seq-1, o.Seq, []string{o.Consumer})
	}
	if *last == nil && err == nil {
		*last, err = eventlog.FindNewestPending(ctx, s.db, s.before, math.MaxInt64, s.consumers)
	}
	if o := *last; o != nil {
		return fmt.Sprintf("%s has not handled %s %s", o.Consumer, o.Type, o.EventID), nil
	}
	if err != nil {
		return "", err
	}
	due, err := planning.DueForecasts(ctx, s.db)
	if err == nil && due > 0 {
		return fmt.Sprintf("forecasts are due at %d locations", due), nil
	}
	return "", err
}
