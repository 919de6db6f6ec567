package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/exchangetest"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// house is a database, a virtual host and what a test publishes through.
type house struct {
	testing.TB
	url    string
	db     *store.DB
	broker exchange.Config

	session   *exchange.Session
	publisher *exchange.Publisher
}

// rung is the tests' only rung, so that a second try does not take long.
const rung = 100 * time.Millisecond

func newHouse(t testing.TB, workers ...worker.Worker) *house {
	t.Helper()
	url := storetest.URL(t)
	h := &house{TB: t, url: url, db: storetest.Open(t, url, 8), broker: exchangetest.Vhost(t)}
	h.apply(workers...)
	session, err := exchange.Open(t.Context(), h.broker)
	h.must(err)
	t.Cleanup(func() { _ = session.Close() })
	h.session = session
	h.publisher, err = session.Publisher(1024)
	h.must(err)
	return h
}

func (h *house) apply(workers ...worker.Worker) {
	h.Helper()
	var subscriptions []exchange.Subscription
	for _, w := range workers {
		subscriptions = append(subscriptions, w.Subscription())
	}
	h.must(exchange.Compute(subscriptions).Apply(h.Context(), h.broker))
}

// running is a worker at work.
type running struct {
	h       *house
	log     *logbook
	metrics *prometheus.Registry
	stop    context.CancelFunc
	done    chan error
}

// run runs w with so many slots until stop or the end of the test, and waits until all of them consume.
func (h *house) run(w worker.Worker, slots int) *running {
	h.Helper()
	r := h.start(w, slots)
	h.soon("every slot consumes", func() bool { return r.metric("composerp_worker_slots", "") == float64(slots) })
	return r
}

// start is run without the wait.
func (h *house) start(w worker.Worker, slots int) *running {
	h.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{h: h, log: &logbook{}, metrics: prometheus.NewRegistry(), stop: cancel, done: make(chan error, 1)}
	runner := worker.Runner{
		Worker: w, DB: h.db, Exchange: h.broker, Slots: slots, Node: "test",
		Log: slog.New(r.log), Metrics: worker.NewMetrics(r.metrics),
	}
	runner.Exchange.Backoff, runner.Exchange.MaxBackoff = 10*time.Millisecond, 200*time.Millisecond
	go func() { r.done <- runner.Run(ctx) }()
	h.Cleanup(func() { r.end() })
	return r
}

// end stops the worker and waits until it has gone; it may be called twice.
func (r *running) end() {
	r.h.Helper()
	r.stop()
	select {
	case err := <-r.done:
		r.done <- err
		if err != nil {
			r.h.Errorf("the worker ended with %v", err)
		}
	case <-time.After(localtest.Deadline(30 * time.Second)):
		r.h.Error(localtest.Late(30*time.Second, "the worker ends"))
	}
}

// metric is a counter's, gauge's or histogram's (its count) value; outcome may be empty.
func (r *running) metric(name, outcome string) float64 {
	r.h.Helper()
	families, err := r.metrics.Gather()
	r.h.must(err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			matches := family.GetName() == name && outcome == ""
			for _, l := range m.GetLabel() {
				matches = matches || family.GetName() == name && l.GetName() == "outcome" && l.GetValue() == outcome
			}
			if matches {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return -1
}

func (r *running) messages(outcome string) int {
	return int(r.metric("composerp_worker_messages_total", outcome))
}

// publish puts events on the exchange as an outsider does, and waits for the confirms.
func (h *house) publish(events ...event.Any) {
	h.Helper()
	messages := make([]exchange.Message, len(events))
	for i, e := range events {
		messages[i] = workertest.Delivery(e).Message
	}
	h.send(messages...)
}

func (h *house) send(messages ...exchange.Message) {
	h.Helper()
	confirmations := make([]*exchange.Confirmation, len(messages))
	for i, m := range messages {
		c, err := h.publisher.Publish(h.Context(), m)
		h.must(err)
		confirmations[i] = c
	}
	for _, c := range confirmations {
		h.must(c.Wait(h.Context()))
	}
}

// take takes n messages off a queue and acknowledges them.
func (h *house) take(queue string, n int) []exchange.Delivery {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), localtest.Deadline(patience))
	defer cancel()
	consumer, err := h.session.Consume(queue, fmt.Sprintf("take.%s.%d", queue, time.Now().UnixNano()), 100)
	h.must(err)
	defer func() { _ = consumer.Close() }()
	var taken []exchange.Delivery
	for len(taken) < n {
		some, err := consumer.Take(ctx, n-len(taken))
		if err != nil {
			h.Fatalf("taking %d messages off %s, %d came: %v", n, queue, len(taken), err)
		}
		taken = append(taken, some...)
	}
	h.must(consumer.Ack(taken[n-1]))
	return taken
}

func (h *house) depth(queue string) int {
	h.Helper()
	ready, _, err := h.session.Depth(queue)
	h.must(err)
	return ready
}

// effects is how many events the log holds, and how many different ones: each
// handler here says one event for each that it handles.
func (h *house) effects() (all, different int) {
	h.Helper()
	return storetest.Value[int](h, h.url, `SELECT count(*) FROM event_log`), storetest.Value[int](h, h.url, `SELECT count(DISTINCT event_id) FROM event_log`)
}

// wantEffects waits until n events have had their effect, and fails when any has had it twice.
func (h *house) wantEffects(n int) {
	h.Helper()
	h.soon(fmt.Sprintf("%d effects", n), func() bool {
		all, _ := h.effects()
		return all >= n
	})
	if all, different := h.effects(); all != n || different != n {
		h.Fatalf("want %d effects, got %d of %d events", n, all, different)
	}
}

const patience = 60 * time.Second

// soon polls until what holds, or fails the test.
func (h *house) soon(what string, holds func() bool) {
	h.Helper()
	localtest.Eventually(h, patience, what, holds)
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// within receives from c, or fails the test.
func within[T any](h *house, what string, c <-chan T) T {
	h.Helper()
	return localtest.Receive(h, patience, what, c)
}

// logbook is a slog.Handler that remembers the messages.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) Enabled(context.Context, slog.Level) bool { return true }
func (l *logbook) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logbook) WithGroup(string) slog.Handler            { return l }

func (l *logbook) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

func (l *logbook) has(holds func(line string) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.lines, holds)
}
