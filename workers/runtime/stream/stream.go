package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/stream"
	"github.com/composerp/composerp/workers/runtime/pipeline"
)

// Feeder copies the log into the stream while that is on. DB and Broker are needed.
type Feeder struct {
	DB     *store.DB // at least three connections
	Broker rabbitmq.Config
	// Holder names this process in the lease.
	Holder  string
	Log     *slog.Logger
	Metrics *Metrics
}

const (
	pageSize = 500
	window   = 1024
	poll     = 100 * time.Millisecond
	// pollSetting is how often a feeder asks whether the stream is on.
	pollSetting = 2 * time.Second
	// idleMove is how often a cursor that passes no event is saved.
	idleMove = time.Second
)

// Copies is how many messages at most stand in the stream between a message and its next copy: four pages are between
// the cursor and the last message that is published.
const Copies = 4 * pageSize

// Run feeds the stream whenever it is on and this process holds the lease, until ctx is done.
func (f *Feeder) Run(ctx context.Context) error {
	if f.Log == nil {
		f.Log = slog.New(slog.DiscardHandler)
	}
	if f.Metrics == nil {
		f.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	for ctx.Err() == nil {
		if f.on(ctx) {
			f.feed(ctx)
		}
		clock.Sleep(ctx, pollSetting)
	}
	return nil
}

// on tells whether the stream is on. While the database is away it is not.
func (f *Feeder) on(ctx context.Context) bool {
	s, err := stream.Read(ctx, f.DB)
	return err == nil && s.On
}

// feed competes for the lease, and feeds, until the stream is off.
func (f *Feeder) feed(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for clock.Sleep(ctx, pollSetting) {
			if s, err := stream.Read(ctx, f.DB); err == nil && !s.On {
				stop()
			}
		}
	}()
	store.Lead(ctx, f.DB, stream.Consumer, f.Holder, func(ctx context.Context, lease store.Lease) error {
		err := f.lead(ctx, lease)
		if errors.Is(err, stream.ErrOff) {
			stop()
			return nil
		}
		return err
	}, func(err error) { f.Log.Error("stream is not fed for now", "error", err) })
}

// lead feeds while the lease is held, through every loss of the broker.
func (f *Feeder) lead(ctx context.Context, lease store.Lease) error {
	f.Log.Info("feeder of the stream leads", "term", lease.Term)
	f.Metrics.leading.Set(1)
	defer f.Metrics.leading.Set(0)
	cfg := f.Broker
	cfg.Name, cfg.Log = stream.Consumer, f.Log
	off := false
	err := rabbitmq.KeepConnected(ctx, cfg, func(ctx context.Context, session *rabbitmq.Session) error {
		publisher, err := session.Publisher(window)
		if err != nil {
			return err
		}
		// What an earlier session left unconfirmed is published again.
		cursor, err := stream.Open(ctx, f.DB, lease)
		if errors.Is(err, stream.ErrOff) {
			off = true
			return nil
		}
		if err != nil {
			return err
		}
		return f.pump(ctx, publisher, cursor)
	})
	if off {
		return stream.ErrOff
	}
	return err
}

// page is a part of the log on its way.
type page = eventlog.Page

// pump copies the log from the cursor on. The cursor moves after the confirms of each page.
func (f *Feeder) pump(ctx context.Context, publisher *rabbitmq.Publisher, cursor eventlog.Cursor) error {
	place := pipeline.NewPlace(f.DB, cursor)
	err := pipeline.Steps[page]{
		Read:    func(ctx context.Context, give func(page) error) error { return f.read(ctx, cursor, give) },
		Publish: func(ctx context.Context, p page) (pipeline.InFlight, error) { return f.publish(ctx, publisher, p) },
		Confirm: func(ctx context.Context, p page, sent pipeline.InFlight) error {
			if err := f.await(ctx, p, sent); err != nil {
				return err
			}
			_, err := place.Pass(ctx, p)
			return err
		},
		Tick:  func(ctx context.Context) error { _, err := place.Save(ctx); return err },
		Every: idleMove,
	}.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (f *Feeder) read(ctx context.Context, at eventlog.Cursor, give func(page) error) error {
	return pipeline.ReadLog(ctx, at, func(ctx context.Context, at eventlog.Cursor) (page, error) {
		return eventlog.ReadWholePage(ctx, f.DB, at, pageSize)
	}, give, func(ctx context.Context) { clock.Sleep(ctx, poll) })
}

func (f *Feeder) publish(ctx context.Context, publisher *rabbitmq.Publisher, p page) (pipeline.InFlight, error) {
	sent, err := pipeline.Publish(ctx, publisher, len(p.Events), func(i int) (rabbitmq.Message, error) {
		return message(&p.Events[i]), nil
	}, func(i int, why error) error {
		e := &p.Events[i]
		f.Log.Error("event is left out of the stream", "event", e.EventID, "type", e.Type, "seq", e.Seq, "trace", event.TraceOf(e.Body), "error", why)
		f.Metrics.leftOut.Inc()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("publishing event %s to the stream: %w", p.Events[len(sent)].EventID, err)
	}
	return sent, nil
}

// message is an event as it stands in the stream: as in the log, with its position.
func message(e *eventlog.Entry) rabbitmq.Message {
	return rabbitmq.Message{
		Exchange: topology.Stream, RoutingKey: e.Type.RoutingKey(), ID: e.EventID.String(), Type: string(e.Type),
		Headers: map[string]any{rabbitmq.HeaderLogSeq: e.Seq}, Body: e.Body, Timestamp: e.OccurredAt, OwnUser: true,
	}
}

func (f *Feeder) await(ctx context.Context, p page, sent pipeline.InFlight) error {
	confirmed := 0
	err := sent.Wait(ctx, func(i int, err error) error {
		if err != nil {
			return fmt.Errorf("waiting for the confirm of event %s in the stream: %w", p.Events[i].EventID, err)
		}
		confirmed++
		return nil
	})
	if err == nil && confirmed > 0 {
		f.Metrics.confirmed.Add(float64(confirmed))
	}
	return err
}
