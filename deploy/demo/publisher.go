package demo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/planning"
)

// speaker says events on both roads, and waits for what follows from them.
type publisher struct {
	db        *store.DB
	external  external.Publisher
	consumers []string
	timeout   time.Duration

	checkFrom int64       // the log's end two waits ago, from where on it is asked what is owed
	lastEnd   int64       // the log's end at the last wait
	notLogged []uuid.UUID // published, and not yet seen in the log
}

// logChunk is how many events are admitted in a transaction.
const logChunk = 500

// log says events through the log and gives how many it did not know yet.
func (s *publisher) admit(ctx context.Context, events []event.Any) (fresh int, err error) {
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

// publish publishes straight to composerp.events and waits for the confirms. When the session is lost it publishes once
// more on a new one: the fleet handles each event once.
func (s *publisher) publish(ctx context.Context, events []event.Any) error {
	if len(events) == 0 {
		return nil
	}
	for i := range events {
		s.notLogged = append(s.notLogged, events[i].ID)
	}
	messages := external.Messages(events)
	err := s.external.Publish(ctx, messages...)
	if errors.Is(err, rabbitmq.ErrSessionLost) || errors.Is(err, rabbitmq.ErrUnreachable) {
		err = s.external.Publish(ctx, messages...)
	}
	return err
}

// How often it is asked whether the fleet is done: often at first, when a lone
// event has been through in a few milliseconds.
const (
	firstPoll = 4 * time.Millisecond
	lastPoll  = 60 * time.Millisecond
)

// settle waits until everything that was said, and all that followed from it, is
// handled by everyone who owes it. What is committed with an inbox row is all
// that follows from an event, and what a timer has still to say is due by a row, so
// that when nobody owes anything nothing more comes. It asks from the wait before the last one on: a transaction may be late
// with its number.
func (s *publisher) settle(ctx context.Context) error {
	deadline := time.Now().Add(s.timeout)
	var last *eventlog.NewestPending
	for pause := firstPoll; ; pause = min(pause*3/2, lastPoll) {
		began := time.Now()
		owed, err := s.pending(ctx, &last)
		if err != nil {
			return err
		}
		if owed == "" {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for the fleet: after %s %s", s.timeout, owed)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(pause, 2*time.Since(began))): // the look may not be what keeps the fleet from its work
		}
	}
	end, err := eventlog.End(ctx, s.db)
	s.checkFrom, s.lastEnd = s.lastEnd, end
	return err
}

// owed says what is still to be done, "" when nothing is. What was owed at the
// last look is asked for alone first: a look at all of it goes over all that has
// come since.
func (s *publisher) pending(ctx context.Context, last **eventlog.NewestPending) (string, error) {
	missing, err := eventlog.NotAdmitted(ctx, s.db, s.notLogged)
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		s.notLogged = missing
		return fmt.Sprintf("%d published events are not in the log", len(missing)), nil
	}
	s.notLogged = nil
	if o := *last; o != nil {
		*last, err = eventlog.FindNewestPending(ctx, s.db, o.Seq-1, o.Seq, []string{o.Consumer})
	}
	if *last == nil && err == nil {
		*last, err = eventlog.FindNewestPending(ctx, s.db, s.checkFrom, math.MaxInt64, s.consumers)
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
