package watchdog_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/runtime/watchdog"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// env is a log with its ticker and a relay, and the queues of two consumers, ledger and view.
type env struct {
	*workertest.Env // its broker's user has all permissions
	plan            watchdog.Plan
	figuresAge      time.Duration // of its watchdogs
}

func newEnv(t *testing.T) *env { return newEnvOf(t, plan) }

func newEnvOf(t *testing.T, plan watchdog.Plan) *env {
	t.Helper()
	t.Parallel()
	h := &env{Env: workertest.NewEnv(t), plan: plan, figuresAge: 2500 * time.Millisecond}
	h.ApplyTopology(plan.Topology)
	h.Consumer("ledger")
	h.Consumer("view")
	h.StartTicker()
	h.StartRelay()
	return h
}

// publish publishes a message that no log holds.
func (h *env) publish(at, key string, id uuid.UUID) {
	h.Helper()
	h.Send(rabbitmq.Message{Exchange: at, RoutingKey: key, ID: id.String(), Type: string(event.TypeSaleCompleted),
		Headers: map[string]any{rabbitmq.HeaderLogSeq: int64(0)}, Body: []byte("{}")})
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
	events := workertest.Sales(h, n)
	h.Admit(events...)
	ids := make([]string, n)
	for i, e := range events {
		ids[i] = e.ID.String()
	}
	slices.Sort(ids)
	return ids
}

// passed waits until the relay has passed everything.
func (h *env) passed() {
	h.Helper()
	h.Eventually("the relay passes them", h.Published)
}

// take takes what is in a queue, n messages, and gives their ids. handled enters them into the consumer's inbox.
func (h *env) take(consumer string, n int, handled bool) []string {
	h.Helper()
	var ids []string
	var claimed []uuid.UUID
	for _, d := range h.Receive(topology.QueueName(consumer), n) {
		ids, claimed = append(ids, d.ID), append(claimed, uuid.MustParse(d.ID))
		if d.LogSeq() == 0 {
			h.Errorf("message %s has no place in the log", d.ID)
		}
	}
	if handled {
		h.Claim(consumer, claimed...)
	}
	slices.Sort(ids)
	return ids
}

// depth is -1 while there is no such queue.
func (h *env) depth(queue string) int {
	n, _, err := h.Session().Depth(queue)
	if err != nil {
		return -1
	}
	return n
}

// guard is a watchdog at work.
type guard struct {
	*env
	part *workertest.Part
}

// watch runs a watchdog until stop or the end of the test.
func (h *env) watch(broker rabbitmq.Config, management *management.Client) *guard {
	h.Helper()
	return h.watchOn(h.DB, broker, management)
}

func (h *env) watchOn(db *store.DB, broker rabbitmq.Config, management *management.Client) *guard {
	h.Helper()
	g := &guard{env: h}
	g.part = h.Start("watchdog", func(ctx context.Context, p *workertest.Part) error {
		w := &watchdog.Watchdog{DB: db, Broker: broker, Management: management, Plan: h.plan, Holder: "test", Log: p.Logs.Logger(),
			Metrics: watchdog.NewMetrics(p.Metrics), Interval: 100 * time.Millisecond, Grace: 500 * time.Millisecond, FiguresAge: h.figuresAge, Trend: 3 * time.Second}
		return w.Run(ctx)
	})
	h.Cleanup(func() {
		if h.Failed() {
			h.Logf("the watchdog has said:\n%s", g.part.Logs)
		}
	})
	h.Eventually("it has looked some times", func() bool { return g.metric("composerp_watchdog_snapshots_total", "") >= 3 })
	return g
}

// metric is the value of a series, by the value of its label; -1 when there is none.
func (g *guard) metric(name, label string) float64 {
	families, err := g.part.Metrics.Gather()
	g.Must(err)
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
	g.Eventually("it shouts "+string(kind)+": "+text, func() bool { return g.count("problem found", string(kind), text) > 0 })
}

// over waits until the log has said that all of that kind is over.
func (g *guard) over(kind watchdog.Kind) {
	g.Helper()
	g.Eventually(string(kind)+" is over", func() bool {
		began, over := g.count("problem found", string(kind), ""), g.count("problem resolved", string(kind), "")
		return began > 0 && began == over && g.metric("composerp_watchdog_problem", string(kind)) == 0
	})
}

// count is how many lines of the log have the message, the kind and the text.
func (g *guard) count(message, kind, text string) (n int) {
	for _, line := range g.part.Logs.Lines() {
		if strings.Contains(line, message) && (kind == "" || strings.Contains(line, "kind="+kind+" ")) && strings.Contains(line, text) {
			n++
		}
	}
	return n
}
