package watchdog_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/watchdog"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// env is a log with its ticker and a relay, and the queues of two consumers, ledger and view.
type env struct {
	testing.TB
	url     string // of the database
	db      *store.DB
	broker  rabbitmq.Config // as a user with all permissions
	session *rabbitmq.Session
	plan    watchdog.Plan
}

func newEnv(t *testing.T) *env { return newEnvOf(t, plan) }

func newEnvOf(t *testing.T, plan watchdog.Plan) *env {
	t.Helper()
	t.Parallel()
	h := &env{TB: t, url: storetest.URL(t), broker: rabbitmqtest.Vhost(t), plan: plan}
	h.db = storetest.Open(t, h.url, 8)
	storetest.Must(h, rabbitmq.Apply(t.Context(), plan.Topology, h.broker))
	var err error
	h.session, err = rabbitmq.Open(t.Context(), h.broker)
	storetest.Must(h, err)
	t.Cleanup(func() { _ = h.session.Close() })
	for _, consumer := range []string{"ledger", "view"} {
		_, err := inbox.Subscribe(t.Context(), h.db, consumer, []string{string(event.TypeSaleCompleted)})
		storetest.Must(h, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); all.Wait() })
	ticker := eventlog.NewTicker(h.db, slog.New(slog.DiscardHandler))
	all.Go(func() { store.Lead(ctx, h.db, "ticker", "test", ticker.Run, func(error) {}) })
	all.Go(func() { store.Lead(ctx, h.db, "relay", "test", h.relay, func(error) {}) })
	return h
}

// relay publishes what the log holds, a page at a time, for as long as the exchange is there.
func (h *env) relay(ctx context.Context, lease store.Lease) error {
	return rabbitmq.KeepConnected(ctx, h.broker, func(ctx context.Context, session *rabbitmq.Session) error {
		cursor, err := eventlog.OpenCursor(ctx, h.db, lease)
		if err != nil {
			return err
		}
		publisher, err := session.Publisher(0)
		if err != nil {
			return err
		}
		for {
			page, err := eventlog.ReadPage(ctx, h.db, cursor, 1000)
			if err != nil {
				return err
			}
			for _, e := range page.Events {
				if err := publish(ctx, publisher, topology.Events, e.Type.RoutingKey(), e.EventID, e.Seq); err != nil {
					return err
				}
			}
			if err := eventlog.MoveCursor(ctx, h.db, cursor, page.Next); err != nil {
				return err
			}
			cursor = page.Next
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
}

func publish(ctx context.Context, publisher *rabbitmq.Publisher, at, key string, id uuid.UUID, seq int64) error {
	c, err := publisher.Publish(ctx, rabbitmq.Message{Exchange: at, RoutingKey: key, ID: id.String(), Type: string(event.TypeSaleCompleted),
		Headers: map[string]any{rabbitmq.HeaderLogSeq: seq}, Body: []byte("{}")})
	if err != nil {
		return err
	}
	return c.Wait(ctx)
}

// sell commits n sales and waits until the relay has passed them.
func (h *env) sell(n int) []string {
	h.Helper()
	ids := h.admit(n)
	h.passed()
	return ids
}

// admit commits n sales, and gives their ids, sorted.
func (h *env) admit(n int) []string {
	h.Helper()
	events := h.sales(n)
	ids := make([]string, n)
	for i, e := range events {
		ids[i] = e.ID.String()
	}
	_, err := eventlog.AdmitOnce(h.Context(), h.db, events, true)
	storetest.Must(h, err)
	slices.Sort(ids)
	return ids
}

// sales makes n sales that are not in the log.
func (h *env) sales(n int) []event.Any {
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

// passed waits until the relay has passed everything.
func (h *env) passed() {
	h.Helper()
	workertest.Eventually(h, "the relay passes them", func() bool {
		log, err := eventlog.ReadState(h.Context(), h.db, "")
		return err == nil && log.Unpublished == 0
	})
}

// take takes what is in a queue, n messages, and gives their ids. handled enters them into the consumer's inbox.
func (h *env) take(consumer string, n int, handled bool) []string {
	h.Helper()
	c, err := h.session.Consume(topology.QueueName(consumer), "test."+uuid.NewString(), 1000)
	storetest.Must(h, err)
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(h.Context(), localtest.Deadline(time.Minute))
	defer cancel()
	var ids []string
	var claimed []uuid.UUID
	for len(ids) < n {
		taken, err := c.Take(ctx, n-len(ids))
		if err != nil {
			h.Fatalf("taking the %d of %d messages for %s: %v", len(ids), n, consumer, err)
		}
		for _, d := range taken {
			ids, claimed = append(ids, d.ID), append(claimed, uuid.MustParse(d.ID))
			if d.LogSeq() == 0 {
				h.Errorf("message %s has no place in the log", d.ID)
			}
		}
		storetest.Must(h, c.Ack(taken[len(taken)-1]))
	}
	if handled {
		id, err := inbox.Subscribe(h.Context(), h.db, consumer, []string{string(event.TypeSaleCompleted)})
		storetest.Must(h, err)
		storetest.Must(h, h.db.InTx(h.Context(), func(tx store.Tx) error { _, err := inbox.Claim(h.Context(), tx, id, claimed); return err }))
	}
	slices.Sort(ids)
	return ids
}

func (h *env) depth(queue string) int {
	h.Helper()
	n, _, err := h.session.Depth(queue)
	if err != nil {
		return -1
	}
	return n
}

// guard is a watchdog at work.
type guard struct {
	*env
	log     *workertest.Logs
	metrics *prometheus.Registry
	stop    func()
}

// watch runs a watchdog until stop or the end of the test.
func (h *env) watch(broker rabbitmq.Config, management *management.Client) *guard {
	h.Helper()
	g := &guard{env: h, log: &workertest.Logs{}, metrics: prometheus.NewRegistry()}
	w := &watchdog.Watchdog{DB: h.db, Broker: broker, Management: management, Plan: h.plan, Holder: "test", Log: slog.New(g.log),
		Metrics: watchdog.NewMetrics(g.metrics), Interval: 100 * time.Millisecond, Grace: 500 * time.Millisecond, FiguresAge: 2500 * time.Millisecond, Trend: 3 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Run(ctx); err != nil {
			h.Errorf("the watchdog ended with %v", err)
		}
	}()
	g.stop = func() { cancel(); <-done }
	h.Cleanup(g.stop)
	h.Cleanup(func() {
		if h.Failed() {
			h.Logf("the watchdog has said:\n%s", g.log)
		}
	})
	workertest.Eventually(h, "it has looked some times", func() bool { return g.metric("composerp_watchdog_snapshots_total", "") >= 3 })
	return g
}

// metric is the value of a series, by the value of its label; -1 when there is none.
func (g *guard) metric(name, label string) float64 {
	families, err := g.metrics.Gather()
	storetest.Must(g, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// shouts waits until the log has said that a problem of the kind began.
func (g *guard) shouts(kind watchdog.Kind, text string) {
	g.Helper()
	workertest.Eventually(g, "it shouts "+string(kind)+": "+text, func() bool { return g.count("problem found", string(kind), text) > 0 })
}

// over waits until the log has said that all of that kind is over.
func (g *guard) over(kind watchdog.Kind) {
	g.Helper()
	workertest.Eventually(g, string(kind)+" is over", func() bool {
		began, over := g.count("problem found", string(kind), ""), g.count("problem resolved", string(kind), "")
		return began > 0 && began == over && g.metric("composerp_watchdog_problem", string(kind)) == 0
	})
}

// count is how many lines of the log have the message, the kind and the text.
func (g *guard) count(message, kind, text string) (n int) {
	for _, line := range g.log.Lines() {
		if strings.Contains(line, message) && (kind == "" || strings.Contains(line, "kind="+kind+" ")) && strings.Contains(line, text) {
			n++
		}
	}
	return n
}
