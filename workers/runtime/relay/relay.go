// Package relay carries the log to the exchange.
//
// One relay leads at a time; the others wait for its lease. It reads the log in
// short statements, publishes with many confirms in flight, and moves its cursor
// only past what the broker has confirmed. No transaction is ever open while it
// waits for the broker.
//
// # Invariants
//
//   - Everything the cursor has passed was confirmed by the broker, or stands in
//     unpublishable with a reason.
//   - The cursor moves by compare-and-set under the lease's term: a relay that
//     slept through its lease can publish copies, which the inboxes absorb, but
//     can not move the cursor.
//   - Events are published in the order the log gives them.
//
// # What a crash leaves, step by step
//
//	after reading            nothing; the next relay reads from the cursor
//	after publishing         copies: at most what lay between the cursor and the
//	                         crash is published again
//	after the confirms       the same
//	after moving the cursor  nothing to do again
//
// An event that the broker will never take (too large for it, or of a type
// without a routing key) is set aside, and the rest goes on. One that no queue
// takes goes to composerp.unrouted: the exchange sends it there itself unless it
// knows of somebody before a filter, which does not want it. A broker that is full
// or blocked is waited for.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failpoint"
)

// LeaseName is the lease relays compete for, and the name of their cursor.
const LeaseName = "relay"

// Relay publishes what the log holds. DB and Exchange are needed.
type Relay struct {
	DB       *store.DB // at least three connections
	Exchange rabbitmq.Config
	// Holder names this process in the lease.
	Holder string
	// Hints, if set, tells that there may be something new; without it the relay polls.
	Hints   <-chan struct{}
	Log     *slog.Logger
	Metrics *Metrics
}

// pageSize is how many events one statement reads; window how many may be
// unconfirmed. Beyond these the broker gives no more.
const (
	pageSize = 1000
	window   = 1024
	// pagesAhead bounds what is read before it is published, and published before it is confirmed.
	pagesAhead = 2
	poll       = 100 * time.Millisecond
	// restAfter is how often a cursor that passes nothing but foreign events is written down.
	restAfter = time.Second
)

// Run relays whenever this process holds the lease, until ctx is done.
func (r *Relay) Run(ctx context.Context) error {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Metrics == nil {
		r.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	store.Lead(ctx, r.DB, LeaseName, r.Holder, r.lead, func(err error) { r.Log.Error("the relay stands still", "error", err) })
	return nil
}

// lead publishes while the lease is held, through every loss of the broker.
func (r *Relay) lead(ctx context.Context, lease store.Lease) error {
	r.Log.Info("this relay leads", "term", lease.Term)
	r.Metrics.leading.Set(1)
	defer r.Metrics.leading.Set(0)
	cfg := r.Exchange
	cfg.Name, cfg.Log = LeaseName, r.Log
	return rabbitmq.KeepConnected(ctx, cfg, func(ctx context.Context, session *rabbitmq.Session) error {
		publisher, err := session.Publisher(window)
		if err != nil {
			return err
		}
		// Whatever an earlier session left unconfirmed is published again.
		cursor, err := eventlog.OpenCursor(ctx, r.DB, lease)
		if err != nil {
			return err
		}
		failpoint.Hit("relay.opened")
		return r.pump(ctx, publisher, cursor)
	})
}

// batch is a page of the log on its way: read, then published, then confirmed.
type batch struct {
	from          eventlog.Cursor
	page          eventlog.Page
	confirmations []*rabbitmq.Confirmation // nil for an event that was set aside
	published     time.Time
}

// pump runs the three steps side by side, so that the window of confirms is
// never emptied by a read or by the cursor's commit.
func (r *Relay) pump(ctx context.Context, publisher *rabbitmq.Publisher, cursor eventlog.Cursor) error {
	g, ctx := errgroup.WithContext(ctx)
	read, published := make(chan batch, pagesAhead), make(chan batch, pagesAhead)
	g.Go(func() error { defer close(read); return r.read(ctx, cursor, read) })
	g.Go(func() error { defer close(published); return r.publish(ctx, publisher, read, published) })
	g.Go(func() error { return r.confirm(ctx, publisher, published) })
	err := g.Wait()
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

func (r *Relay) read(ctx context.Context, at eventlog.Cursor, out chan<- batch) error {
	for ctx.Err() == nil {
		page, err := eventlog.ReadPage(ctx, r.DB, at, pageSize)
		if err != nil {
			return err
		}
		if page.Next == at {
			r.rest(ctx)
			continue
		}
		failpoint.Hit("relay.read")
		select {
		case out <- batch{from: at, page: page}:
			at = page.Next
		case <-ctx.Done():
		}
	}
	return nil
}

// rest waits for a hint, or for as long as one that was lost may delay an event.
func (r *Relay) rest(ctx context.Context) {
	timer := time.NewTimer(poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.Hints:
	case <-timer.C:
	}
}

func (r *Relay) publish(ctx context.Context, publisher *rabbitmq.Publisher, in <-chan batch, out chan<- batch) error {
	for b := range in {
		b.published = time.Now()
		b.confirmations = make([]*rabbitmq.Confirmation, len(b.page.Events))
		for i := range b.page.Events {
			c, err := r.publishOne(ctx, publisher, &b.page.Events[i])
			if err != nil {
				return err
			}
			b.confirmations[i] = c
			failpoint.Hit("relay.publishing")
		}
		failpoint.Hit("relay.published")
		select {
		case out <- b:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (r *Relay) publishOne(ctx context.Context, publisher *rabbitmq.Publisher, e *eventlog.Entry) (*rabbitmq.Confirmation, error) {
	if e.Type.RoutingKey() == "" {
		return nil, r.setAside(ctx, e, fmt.Errorf("type %s has no routing key", e.Type))
	}
	c, err := publisher.Publish(ctx, message(topology.Events, e))
	if errors.Is(err, rabbitmq.ErrUnpublishable) {
		return nil, r.setAside(ctx, e, err)
	}
	if err != nil {
		return nil, fmt.Errorf("publishing event %s: %w", e.EventID, err)
	}
	return c, nil
}

// message is an event on its way to an exchange. Of what outsiders say too, somebody may want to hear theirs alone: it is marked.
func message(to string, e *eventlog.Entry) rabbitmq.Message {
	m := rabbitmq.Message{
		Exchange: to, RoutingKey: e.Type.RoutingKey(), ID: e.EventID.String(), Type: string(e.Type),
		Headers: map[string]any{rabbitmq.HeaderLogSeq: e.Seq}, Body: e.Body, Timestamp: e.OccurredAt,
	}
	if d, known := event.Lookup(e.Type); known && d.Outside {
		m.Headers[topology.HeaderRelayed] = true
	}
	return m
}

// divert sends an event that no queue took where the exchange sends what nobody is bound for.
func (r *Relay) divert(ctx context.Context, publisher *rabbitmq.Publisher, e *eventlog.Entry) error {
	c, err := publisher.Publish(ctx, message(topology.Unrouted, e))
	if err != nil {
		return err
	}
	return c.Wait(ctx)
}

func (r *Relay) setAside(ctx context.Context, e *eventlog.Entry, reason error) error {
	r.Log.Error("an event can not be published and is set aside", "event", e.EventID, "type", e.Type, "error", reason)
	r.Metrics.setAside.Inc()
	err := eventlog.MarkUnpublishable(ctx, r.DB, *e, reason.Error())
	failpoint.Hit("relay.aside")
	return err
}

// confirm waits for the broker's word and moves the cursor. Intervals without an
// event for the exchange are passed together, now and then.
func (r *Relay) confirm(ctx context.Context, publisher *rabbitmq.Publisher, in <-chan batch) error {
	var at, to eventlog.Cursor
	resting := time.NewTicker(restAfter)
	defer resting.Stop()
	for {
		var due bool
		select {
		case b, more := <-in:
			if !more {
				return nil
			}
			if at == to {
				at = b.from
			}
			to = b.page.Next
			if err := r.await(ctx, publisher, b); err != nil {
				return err
			}
			failpoint.Hit("relay.confirmed")
			due = len(b.page.Events) > 0
		case <-resting.C:
			due = true
		}
		if due && at != to {
			if err := eventlog.MoveCursor(ctx, r.DB, at, to); err != nil {
				return err
			}
			at = to
			failpoint.Hit("relay.moved")
		}
	}
}

func (r *Relay) await(ctx context.Context, publisher *rabbitmq.Publisher, b batch) error {
	confirmed := 0
	for i, c := range b.confirmations {
		if c == nil {
			continue
		}
		err := c.Wait(ctx)
		if errors.Is(err, rabbitmq.ErrUnroutable) {
			err = r.divert(ctx, publisher, &b.page.Events[i])
		}
		if err != nil {
			return fmt.Errorf("waiting for the confirm of event %s: %w", b.page.Events[i].EventID, err)
		}
		confirmed++
	}
	if confirmed > 0 {
		r.Metrics.confirmed.Add(float64(confirmed))
		r.Metrics.confirming.Observe(time.Since(b.published).Seconds())
	}
	return nil
}
