package chaos

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/external"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// publisher publishes everything by both routes, each in order and on time, and again until it is committed or
// confirmed. It reaches the servers directly, not through the fleet's proxies.
type publisher struct {
	db         *store.DB
	external   external.Publisher
	rate       int // messages a second
	addFinding func(problem string)

	confirmed atomic.Int64 // committed or confirmed
	repeated  atomic.Int64 // published again, because the outcome was unknown
}

const (
	maxBatch       = 50                     // messages at once
	attemptTimeout = 5 * time.Second        // for one attempt
	retryPause     = 100 * time.Millisecond // before the next attempt
)

// run publishes everything and returns when all of it is committed or confirmed.
func (p *publisher) run(ctx context.Context, publications []Publication) error {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for route, send := range map[Route]func(context.Context, []Publication) error{RouteLog: p.admit, RouteAMQP: p.publish} {
		var mine []Publication
		var due []time.Duration
		for i, publication := range publications {
			if publication.Route == route {
				mine, due = append(mine, publication), append(due, time.Duration(i)*time.Second/time.Duration(p.rate))
			}
		}
		g.Go(func() error { return p.publishDue(ctx, began, mine, due, send) })
	}
	err := g.Wait()
	p.external.Close()
	return err
}

// publishDue publishes what is due, until everything is published.
func (p *publisher) publishDue(ctx context.Context, began time.Time, mine []Publication, due []time.Duration, send func(context.Context, []Publication) error) error {
	for at := 0; at < len(mine); {
		if !clock.Sleep(ctx, max(time.Until(began.Add(due[at])), 20*time.Millisecond)) {
			return ctx.Err()
		}
		end := at + 1
		for end < len(mine) && end-at < maxBatch && time.Since(began) >= due[end] {
			end++
		}
		err := clock.Retry(ctx, retryPause, func() error {
			attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
			defer cancel()
			err := send(attempt, mine[at:end])
			if err != nil {
				p.repeated.Add(int64(end - at))
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("publishing by route %s: %w", mine[at].Route, err)
		}
		p.confirmed.Add(int64(end - at))
		at = end
	}
	return nil
}

// admit appends events to the log. Altered events must be refused, and no others.
func (p *publisher) admit(ctx context.Context, publications []Publication) error {
	events := make([]event.Any, len(publications))
	for i := range publications {
		events[i] = publications[i].Event
	}
	verdicts, err := eventlog.AdmitOnce(ctx, p.db, events, true)
	if err != nil {
		return err
	}
	for i, v := range verdicts {
		if refused := v == eventlog.Conflict; refused != (publications[i].Kind == Altered) {
			p.addFinding(fmt.Sprintf("%s event %s is %s", publications[i].Kind, events[i].ID, v))
		}
	}
	return nil
}

// publish publishes them straight over AMQP and waits for the confirms.
func (p *publisher) publish(ctx context.Context, publications []Publication) error {
	messages := make([]rabbitmq.Message, len(publications))
	for i, publication := range publications {
		messages[i] = messageOf(publication)
	}
	return p.external.Publish(ctx, messages...)
}

// invalidKey is the routing key of messages that are not events: that of a sale, so that the consumers of sales get
// them.
var invalidKey = event.TypeSaleCompleted.RoutingKey()

func messageOf(p Publication) rabbitmq.Message {
	m := external.Message(p.Event)
	if p.Kind == Invalid {
		m.RoutingKey, m.Type = invalidKey, string(event.TypeSaleCompleted)
	}
	return m
}
