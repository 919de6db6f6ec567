package relay_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/relay"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// env is a log with its ticker, and a queue at the other end of the relay.
type env struct {
	*workertest.Env

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
	h := &env{Env: workertest.NewEnv(t)}
	h.ApplyTopology(topology.Compute([]topology.Subscription{{Worker: "sink", RoutingKeys: []string{event.TypeSaleCompleted.RoutingKey()}}}))
	h.StartTicker()
	consumer, err := h.Session().Consume(topology.QueueName("sink"), "sink", 1000)
	h.Must(err)
	h.Start("sink", func(ctx context.Context, _ *workertest.Part) error {
		for {
			taken, err := consumer.Take(ctx, 1000)
			if err != nil {
				return nil // the test has ended
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
	return slices.Clone(h.got)
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
	events := workertest.Sales(h, n)
	h.Admit(events...)
	return events
}

// wantOnce waits for the events and fails unless they came once each, in this order.
func (h *env) wantOnce(events []event.Any) {
	h.Helper()
	h.Eventually(fmt.Sprintf("%d events come", len(events)), func() bool { return len(h.arrived()) >= len(events) })
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
	h.Eventually(fmt.Sprintf("%d events come", len(events)), func() bool { return h.different() >= len(events) })
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
type running struct{ *workertest.Part }

// run runs a relay until end or the end of the test.
func (h *env) run(holder string) running { return h.runWith(holder, h.DB, h.Broker) }

func (h *env) runWith(holder string, db *store.DB, broker rabbitmq.Config) running {
	return running{h.Start("relay", func(ctx context.Context, p *workertest.Part) error {
		r := relay.Relay{DB: db, Broker: broker, Holder: holder, Log: p.Logs.Logger(), Metrics: relay.NewMetrics(p.Metrics)}
		return r.Run(ctx)
	})}
}

func (r running) leads() bool { return r.Metric("composerp_relay_leading") == 1 }

// cursor is where the relay's cursor stands, as text.
func (h *env) cursor() string {
	h.Helper()
	return storetest.Value[string](h, h.URL, `SELECT coalesce((SELECT concat_ws(' ', tick, upto, seq) FROM log_cursor WHERE consumer = 'relay'), '')`)
}

// passed tells whether the relay has passed every event, and its cursor the newest place.
func (h *env) passed() bool {
	lag, err := eventlog.Lag(h.Context(), h.DB, relay.LeaseName)
	return err == nil && lag <= 0 && h.Published()
}
