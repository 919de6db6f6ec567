package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/relay"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// env is a log with its ticker, and a queue at the other end of the relay.
type env struct {
	testing.TB
	url    string
	db     *store.DB
	broker rabbitmq.Config

	mu  sync.Mutex
	got []arrival
}

// arrival is an event as it came out of the queue.
type arrival struct {
	id  string
	seq int64
}

func newEnv(t testing.TB) *env {
	t.Helper()
	url := storetest.URL(t)
	h := &env{TB: t, url: url, db: storetest.Open(t, url, 8), broker: rabbitmqtest.Vhost(t)}
	h.broker.Backoff, h.broker.MaxBackoff = 10*time.Millisecond, 200*time.Millisecond
	want := topology.Compute([]topology.Subscription{{Worker: "sink", RoutingKeys: []string{event.TypeSaleCompleted.RoutingKey()}}})
	storetest.Must(h, rabbitmq.Apply(t.Context(), want, h.broker))

	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); all.Wait() })
	ticker := eventlog.NewTicker(h.db, slog.New(slog.DiscardHandler))
	all.Go(func() { store.Lead(ctx, h.db, "ticker", "test", ticker.Run, func(err error) { t.Log("ticker:", err) }) })
	session, err := rabbitmq.Open(t.Context(), h.broker)
	storetest.Must(h, err)
	consumer, err := session.Consume(topology.QueueName("sink"), "sink", 1000)
	storetest.Must(h, err)
	all.Go(func() {
		defer func() { _ = session.Close() }()
		for {
			taken, err := consumer.Take(ctx, 1000)
			if err != nil {
				return
			}
			h.mu.Lock()
			for _, d := range taken {
				h.got = append(h.got, arrival{d.ID, d.LogSeq()})
			}
			h.mu.Unlock()
			_ = consumer.Ack(taken[len(taken)-1])
		}
	})
	return h
}

// arrived is what has come so far.
func (h *env) arrived() []arrival {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]arrival(nil), h.got...)
}

// different is how many different events have come so far.
func (h *env) different() int {
	ids := map[string]bool{}
	for _, a := range h.arrived() {
		ids[a.id] = true
	}
	return len(ids)
}

// sales makes n sales and appends them to the log, in transactions of at most a thousand.
func (h *env) sales(n int) []event.Any {
	h.Helper()
	events := h.unsaid(n)
	for i := 0; i < n; i += 1000 {
		_, err := eventlog.AdmitOnce(h.Context(), h.db, events[i:min(n, i+1000)], true)
		storetest.Must(h, err)
	}
	return events
}

// unsaid makes n sales.
func (h *env) unsaid(n int) []event.Any {
	h.Helper()
	at := time.Date(2024, time.March, 1, 10, 0, 0, 0, time.UTC)
	events := make([]event.Any, n)
	for i := range events {
		e, err := event.Encode(event.Envelope{ID: uuid.New(), AggregateID: "s", TenantID: "acme", Timestamp: at},
			event.SaleCompleted{SaleID: "s", ItemID: "cup", LocationID: "shop", Quantity: event.NewDecimal(1), Amount: event.NewDecimal(1), Timestamp: at})
		storetest.Must(h, err)
		events[i] = e
	}
	return events
}

// wantOnce waits for the events and fails unless they came once each, in this order.
func (h *env) wantOnce(events []event.Any) {
	h.Helper()
	workertest.Eventually(h, fmt.Sprintf("%d events come", len(events)), func() bool { return len(h.arrived()) >= len(events) })
	got := h.arrived()
	if len(got) != len(events) {
		h.Fatalf("want %d messages, got %d", len(events), len(got))
	}
	for i, e := range events {
		if got[i].id != e.ID.String() {
			h.Fatalf("message %d: want event %s, got %s", i, e.ID, got[i].id)
		}
		if i > 0 && got[i].seq <= got[i-1].seq {
			h.Fatalf("message %d: its place in the log is %d, the one's before is %d", i, got[i].seq, got[i-1].seq)
		}
	}
}

// wantAll waits until all of the events have come; copies are allowed.
func (h *env) wantAll(events []event.Any) {
	h.Helper()
	workertest.Eventually(h, fmt.Sprintf("%d events come", len(events)), func() bool { return h.different() >= len(events) })
	ids := map[string]bool{}
	for _, a := range h.arrived() {
		ids[a.id] = true
	}
	for _, e := range events {
		if !ids[e.ID.String()] {
			h.Fatalf("event %s is lost", e.ID)
		}
	}
}

// running is a relay at work.
type running struct {
	h       *env
	log     *workertest.Logs
	metrics *prometheus.Registry
	stop    context.CancelFunc
	done    chan struct{}
}

// run runs a relay until end or the end of the test.
func (h *env) run(holder string) *running { return h.runWith(holder, h.db, h.broker) }

func (h *env) runWith(holder string, db *store.DB, broker rabbitmq.Config) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{h: h, log: &workertest.Logs{}, metrics: prometheus.NewRegistry(), stop: cancel, done: make(chan struct{})}
	rl := relay.Relay{DB: db, Broker: broker, Holder: holder, Log: slog.New(r.log), Metrics: relay.NewMetrics(r.metrics)}
	go func() {
		defer close(r.done)
		if err := rl.Run(ctx); err != nil {
			h.Errorf("the relay ended with %v", err)
		}
	}()
	h.Cleanup(r.end)
	return r
}

// end stops the relay and waits until it has gone.
func (r *running) end() {
	r.stop()
	select {
	case <-r.done:
	case <-time.After(localtest.Deadline(workertest.Timeout)):
		r.h.Error(localtest.Late(workertest.Timeout, "the relay ends"))
	}
}

func (r *running) leads() bool { return r.metric("composerp_relay_leading") == 1 }

func (r *running) metric(name string) float64 { return workertest.Metric(r.h, r.metrics, name) }

// cursor is where the relay's cursor stands, as text.
func (h *env) cursor() string {
	h.Helper()
	return storetest.Value[string](h, h.url, `SELECT coalesce((SELECT concat_ws(' ', tick, upto, seq) FROM log_cursor WHERE consumer = 'relay'), '')`)
}

// passed tells whether the relay has passed every event, and its cursor the newest place.
func (h *env) passed() bool {
	lag, err := eventlog.Lag(h.Context(), h.db, relay.LeaseName)
	if err != nil || lag > 0 {
		return false
	}
	log, err := eventlog.ReadState(h.Context(), h.db, "")
	return err == nil && log.Unpublished == 0
}
