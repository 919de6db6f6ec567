// Package relay publishes the event log to the broker.
//
// One relay leads at a time; the others wait for its lease. It reads the log in short statements, publishes with many
// confirms in flight (package pipeline), and moves its cursor only past what the broker has confirmed. No transaction
// is open while it waits for the broker.
//
// # Invariants
//
//   - Everything the cursor has passed was confirmed by the broker, or is recorded as unpublishable with a reason.
//   - The cursor moves by compare-and-set under the lease's term: a relay that slept through its lease can publish
//     copies, which the inboxes absorb, but cannot move the cursor.
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
// An event that the broker will never take (too large for it, or of a type without a routing key) is recorded as
// unpublishable, and the rest goes on. An event that no queue takes goes to composerp.unrouted: by the exchange
// itself, unless a filter is bound for it and does not let it through. The relay waits for a broker that is full or
// blocked.
package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failpoint"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers/runtime/pipeline"
	"github.com/composerp/composerp/workers/worker/spans"
)

// LeaseName is the lease relays compete for, and the name of their cursor.
const LeaseName = "relay"

// Relay publishes what the log holds. DB and Broker are needed.
type Relay struct {
	DB     *store.DB // at least three connections
	Broker rabbitmq.Config
	// Holder names this process in the lease.
	Holder string
	// Hints, if set, receives when there may be new events; without it the relay polls.
	Hints   <-chan struct{}
	Log     *slog.Logger
	Metrics *Metrics
	// Spans, if set, tell a collector of each event that was published.
	Spans *spans.Recorder
}

// pageSize is how many events one statement reads; window how many may be
// unconfirmed. Larger ones are no faster.
const (
	pageSize = 1000
	window   = 1024
	poll     = 100 * time.Millisecond
	// idleMove is how often a cursor that passes only events published elsewhere is saved.
	idleMove = time.Second
)

// Run relays whenever this process holds the lease, until ctx is done.
func (r *Relay) Run(ctx context.Context) error {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Metrics == nil {
		r.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	store.Lead(ctx, r.DB, LeaseName, r.Holder, r.lead, func(err error) { r.Log.Error("relay does not lead for now", "error", err) })
	return nil
}

// lead publishes while the lease is held, through every loss of the broker.
func (r *Relay) lead(ctx context.Context, lease store.Lease) error {
	r.Log.Info("relay leads", "term", lease.Term)
	r.Metrics.leading.Set(1)
	defer r.Metrics.leading.Set(0)
	cfg := r.Broker
	cfg.Name, cfg.Log = LeaseName, r.Log
	return rabbitmq.KeepConnected(ctx, cfg, func(ctx context.Context, session *rabbitmq.Session) error {
		publisher, err := session.Publisher(window)
		if err != nil {
			return err
		}
		for ctx.Err() == nil {
			if err := r.follow(ctx, publisher, lease); err != nil {
				return err
			}
		}
		return nil
	})
}

// follow publishes from the cursor on until ctx is done or the stage of a type changes. What an earlier session left
// unconfirmed is published again.
func (r *Relay) follow(ctx context.Context, publisher *rabbitmq.Publisher, lease store.Lease) error {
	states, err := versions.Adopt(ctx, r.DB, lease)
	if err != nil {
		return err
	}
	cursor, err := eventlog.OpenCursor(ctx, r.DB, lease)
	if err != nil {
		return err
	}
	failpoint.Hit("relay.opened")
	s := stagesOf(states)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go r.watch(watching, s)
	return r.pump(ctx, publisher, cursor, s)
}

// page is a part of the log on its way: read, then published, then confirmed.
type page struct {
	eventlog.Page
	published time.Time
	copies    []copyOf // the messages; nil: one of each event
}

// at is the event of a message, and whether it is the one for composerp.events.v1.
func (p *page) at(i int) (e *eventlog.Entry, second bool) {
	if p.copies == nil {
		return &p.Events[i], false
	}
	return &p.Events[p.copies[i].event], p.copies[i].second
}

// pump carries the log from the cursor on. The cursor moves after the confirms of each page; pages without an event
// for the exchange are passed together, now and then.
func (r *Relay) pump(ctx context.Context, publisher *rabbitmq.Publisher, cursor eventlog.Cursor, s *stages) error {
	place := pipeline.NewPlace(r.DB, cursor)
	saved := func(moved bool, err error) error {
		if moved {
			failpoint.Hit("relay.moved")
		}
		return err
	}
	err := pipeline.Steps[*page]{
		Read: func(ctx context.Context, give func(*page) error) error { return r.read(ctx, cursor, s, give) },
		Publish: func(ctx context.Context, p *page) (pipeline.InFlight, error) {
			return r.publish(ctx, publisher, s, p)
		},
		Confirm: func(ctx context.Context, p *page, sent pipeline.InFlight) error {
			if err := r.await(ctx, publisher, p, sent); err != nil {
				return err
			}
			failpoint.Hit("relay.confirmed")
			return saved(place.Pass(ctx, p.Page))
		},
		Tick: func(ctx context.Context) error { return saved(place.Save(ctx)) }, Every: idleMove,
	}.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (r *Relay) read(ctx context.Context, at eventlog.Cursor, s *stages, give func(*page) error) error {
	err := pipeline.ReadLog(ctx, at, func(ctx context.Context, at eventlog.Cursor) (eventlog.Page, error) {
		if s.changed.Load() {
			return eventlog.Page{}, errStage
		}
		return s.readPage(ctx, r.DB, at)
	}, func(next eventlog.Page) error {
		failpoint.Hit("relay.read")
		return give(&page{Page: next})
	}, r.awaitHint)
	if errors.Is(err, errStage) {
		return nil // what was read is published and confirmed
	}
	return err
}

// awaitHint waits for a hint, or for as long as a lost hint may delay an event.
func (r *Relay) awaitHint(ctx context.Context) {
	timer := time.NewTimer(poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-r.Hints:
	case <-timer.C:
	}
}

func (r *Relay) publish(ctx context.Context, publisher *rabbitmq.Publisher, s *stages, p *page) (pipeline.InFlight, error) {
	p.published = time.Now()
	events := p.Events
	messages := len(events)
	if p.copies = s.copies(events); p.copies != nil {
		messages = len(p.copies)
	}
	sent, err := pipeline.Publish(ctx, publisher, messages, func(i int) (rabbitmq.Message, error) {
		if i > 0 {
			publishing()
		}
		e, second := p.at(i)
		if e.Type.RoutingKey() == "" {
			err := r.markUnpublishable(ctx, e, fmt.Errorf("type %s has no routing key", e.Type))
			return rabbitmq.Message{}, cmp.Or(err, pipeline.ErrLeftOut)
		}
		to, body, err := s.body(e, second)
		if err != nil {
			err := r.markUnpublishable(ctx, e, err)
			return rabbitmq.Message{}, cmp.Or(err, pipeline.ErrLeftOut)
		}
		m := message(to, e)
		m.Body = body
		return m, nil
	}, func(i int, why error) error {
		e, _ := p.at(i)
		return r.markUnpublishable(ctx, e, why)
	})
	if err != nil {
		e, _ := p.at(len(sent))
		return nil, fmt.Errorf("publishing event %s: %w", e.EventID, err)
	}
	if len(events) > 0 {
		publishing()
	}
	failpoint.Hit("relay.published")
	return sent, nil
}

// publishing is the step after each event of a page: a crash there leaves the page published in part.
func publishing() { failpoint.Hit("relay.publishing") }

// message is an event as it goes to an exchange. x-times says how long it was in the log, x-lane the lane of its
// aggregate at ordered workers. Events that external publishers may also send carry x-relayed, so that a consumer can
// skip relayed copies.
func message(to string, e *eventlog.Entry) rabbitmq.Message {
	m := rabbitmq.Message{
		Exchange: to, RoutingKey: e.Type.RoutingKey(), ID: e.EventID.String(), Type: string(e.Type),
		Headers: map[string]any{rabbitmq.HeaderLogSeq: e.Seq, topology.HeaderLane: topology.LaneHeader(e.Tenant, e.Aggregate)}, Body: e.Body, Timestamp: e.OccurredAt, OwnUser: true,
	}
	if d, known := event.Lookup(e.Type); known && d.Outside {
		m.Headers[topology.HeaderRelayed] = true
	}
	if !e.LoggedAt.IsZero() {
		times := delay.Since(e.LoggedAt)
		times.Until(delay.Relay, time.Now())
		m.Headers[delay.Header] = times.String()
	}
	return m
}

// divert publishes an event that no queue took to composerp.unrouted.
func (r *Relay) divert(ctx context.Context, publisher *rabbitmq.Publisher, e *eventlog.Entry) error {
	c, err := publisher.Publish(ctx, message(topology.Unrouted, e))
	if err != nil {
		return err
	}
	return c.Wait(ctx)
}

func (r *Relay) markUnpublishable(ctx context.Context, e *eventlog.Entry, reason error) error {
	r.Log.Error("event is unpublishable", "event", e.EventID, "type", e.Type, "exchange", topology.Events, "trace", event.TraceOf(e.Body), "error", reason)
	r.Metrics.unpublishable.Inc()
	err := eventlog.MarkUnpublishable(ctx, r.DB, *e, reason.Error())
	failpoint.Hit("relay.aside")
	return err
}

func (r *Relay) await(ctx context.Context, publisher *rabbitmq.Publisher, p *page, sent pipeline.InFlight) error {
	confirmed := 0
	err := sent.Wait(ctx, func(i int, err error) error {
		e, second := p.at(i)
		if errors.Is(err, rabbitmq.ErrUnroutable) {
			if err = nil; !second && !e.Direct { // another version has been routed, or was unroutable as it came
				err = r.divert(ctx, publisher, e)
			}
		}
		if !second && !e.Direct {
			r.span(e, p.published, err)
		}
		if err != nil {
			return fmt.Errorf("waiting for the confirm of event %s: %w", e.EventID, err)
		}
		if !second {
			confirmed++
		}
		return nil
	})
	if err == nil && confirmed > 0 {
		r.Metrics.confirmed.Add(float64(confirmed))
		r.Metrics.confirming.Observe(time.Since(p.published).Seconds())
	}
	return err
}

// span tells that the broker has answered for an event.
func (r *Relay) span(e *eventlog.Entry, published time.Time, failure error) {
	if r.Spans == nil {
		return
	}
	if decoded, err := event.Decode(e.Body); err == nil {
		r.Spans.Published(decoded.Envelope, topology.Events, published, time.Now(), failure)
	}
}
