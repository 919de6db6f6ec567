package demo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/planning"
)

// publisher publishes events, through the log and straight over AMQP, and waits until the fleet has handled them and
// what follows from them.
type publisher struct {
	db        *store.DB
	external  external.Publisher
	consumers []string
	timeout   time.Duration

	checkFrom int64       // the log's end two waits ago: pending deliveries are looked for from here on
	lastEnd   int64       // the log's end at the last wait
	notLogged []uuid.UUID // published over AMQP, and not yet in the log
}

// logChunk is how many events are admitted in a transaction.
const logChunk = 500

// admit appends events to the log and gives how many were new to it.
func (p *publisher) admit(ctx context.Context, events []event.Any) (fresh int, err error) {
	for chunk := range slices.Chunk(events, logChunk) {
		verdicts, err := eventlog.AdmitOnce(ctx, p.db, chunk, true)
		if err != nil {
			return fresh, err
		}
		for i, v := range verdicts {
			if refusal := v.Refusal(chunk[i]); refusal != nil {
				return fresh, fmt.Errorf("event %s is refused: %w", chunk[i].ID, refusal)
			}
			switch v {
			case eventlog.Admitted:
				fresh++
			case eventlog.Conflict:
				return fresh, fmt.Errorf("event %s is in the log with other content, from a demo of another version; run with --fresh to begin with empty data", chunk[i].ID)
			}
		}
	}
	return fresh, nil
}

// publish publishes straight to composerp.events and waits for the confirms. When the session is lost it publishes once
// more on a new one: the fleet handles each event once.
func (p *publisher) publish(ctx context.Context, events []event.Any) error {
	if len(events) == 0 {
		return nil
	}
	for i := range events {
		p.notLogged = append(p.notLogged, events[i].ID)
	}
	messages := external.Messages(events)
	err := p.external.Publish(ctx, messages...)
	if errors.Is(err, rabbitmq.ErrSessionLost) || errors.Is(err, rabbitmq.ErrUnreachable) || errors.Is(err, rabbitmq.ErrInternal) {
		err = p.external.Publish(ctx, messages...)
	}
	return err
}

// The pauses between two checks grow: a lone event is handled in a few milliseconds.
const (
	firstPoll = 4 * time.Millisecond
	lastPoll  = 60 * time.Millisecond
)

// settle waits until every published event, and every event that followed from it, is handled by all its consumers.
// Emitted events commit with the inbox row and due forecasts are rows of a table, so with nothing pending nothing more
// will be emitted. It looks from the wait before the last one on, because a transaction may commit late.
func (p *publisher) settle(ctx context.Context) error {
	deadline := time.Now().Add(p.timeout)
	var last *eventlog.NewestPending
	for pause := firstPoll; ; pause = min(pause*3/2, lastPoll) {
		began := time.Now()
		waiting, err := p.pending(ctx, &last)
		if err != nil {
			return err
		}
		if waiting == "" {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waiting for the fleet: after %s %s", p.timeout, waiting)
		}
		if !clock.Sleep(ctx, max(pause, 2*time.Since(began))) { // checking must not slow the fleet down
			return ctx.Err()
		}
	}
	end, err := eventlog.End(ctx, p.db)
	p.checkFrom, p.lastEnd = p.lastEnd, end
	return err
}

// pending says what the fleet has not handled, "" when it has handled everything. It first asks for what was pending
// at the last check alone: the whole query reads all events since.
func (p *publisher) pending(ctx context.Context, last **eventlog.NewestPending) (string, error) {
	missing, err := eventlog.NotAdmitted(ctx, p.db, p.notLogged)
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		p.notLogged = missing
		return fmt.Sprintf("%d published events are not in the log", len(missing)), nil
	}
	p.notLogged = nil
	if o := *last; o != nil {
		*last, err = eventlog.FindNewestPending(ctx, p.db, o.Seq-1, o.Seq, []string{o.Consumer})
	}
	if *last == nil && err == nil {
		*last, err = eventlog.FindNewestPending(ctx, p.db, p.checkFrom, math.MaxInt64, p.consumers)
	}
	if o := *last; o != nil {
		return fmt.Sprintf("%s has not handled %s %s", o.Consumer, o.Type, o.EventID), nil
	}
	if err != nil {
		return "", err
	}
	due, err := planning.DueForecasts(ctx, p.db)
	if err == nil && due > 0 {
		return fmt.Sprintf("forecasts are due at %d locations", due), nil
	}
	return "", err
}
