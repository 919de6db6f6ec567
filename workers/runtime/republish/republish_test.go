package republish_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/republish"
	"github.com/composerp/composerp/workers/worker/workertest"
)

const saleKey = "integration.sale_completed"

var queues = map[string]string{"ledger": "composerp.ledger", "view": "composerp.view"}

// env is a log, two consumers of sales, and their queues.
type env struct {
	*workertest.Env
	republish.Config
}

func newEnv(t testing.TB) *env {
	t.Helper()
	h := &env{Env: workertest.NewEnv(t)}
	h.Config = republish.Config{DB: h.Env.DB, Broker: h.Env.Broker, Queues: queues}
	h.ApplyTopology(topology.Compute([]topology.Subscription{{Worker: "ledger", RoutingKeys: []string{saleKey}}, {Worker: "view", RoutingKeys: []string{saleKey}}}))
	for name := range queues {
		h.Consumer(name)
	}
	return h
}

// sales logs n sales as if they had come straight over AMQP, so that no relay is needed to have published them.
func (h *env) sales(n int) []event.Any {
	h.Helper()
	events := workertest.Sales(h, n)
	h.AdmitPublished(events...)
	return events
}

// told is the report in short: "ledger 3/3, view 0/0".
func told(r republish.Report) (text string) {
	for _, t := range r.Consumers {
		text += fmt.Sprintf("%s %d/%d ", t.Consumer, t.Published, t.Pending)
	}
	return text
}

func TestPendingDeliveriesGoToTheirConsumerOnly(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	events := h.sales(3000)
	h.Claim("view", storetest.IDs(events)...)
	h.Claim("ledger", storetest.IDs(events[:500])...)
	h.DryRun = true
	r, err := republish.Run(t.Context(), h.Config)
	if err != nil || told(r) != "ledger 0/2500 view 0/0 " || !r.DryRun || h.Depth("composerp.ledger") != 0 {
		t.Errorf("a dry run says %s, %v, and %d messages are in the queue", told(r), err, h.Depth("composerp.ledger"))
	}
	h.DryRun = false
	var last republish.Progress
	h.Progress = func(p republish.Progress) { last = p }
	r, err = republish.Run(t.Context(), h.Config)
	if err != nil || told(r) != "ledger 2500/2500 view 0/0 " || r.Pending() != 2500 || r.Published() != 2500 {
		t.Errorf("it says %s, %v", told(r), err)
	}
	if last.Place != last.End || last.Pending != 2500 || last.End != r.Upto {
		t.Errorf("the last progress is %+v", last)
	}
	for i, d := range h.Receive("composerp.ledger", 2500) {
		e := events[500+i]
		if d.ID != e.ID.String() || string(d.Body) != string(e.Body) || d.Type != string(e.Type) || d.LogSeq() == 0 || !d.Timestamp.Equal(e.Timestamp) {
			t.Fatalf("message %d is %+v, want event %s", i, d.Message, e.ID)
		}
	}
	if n := h.Depth("composerp.view") + h.Depth(topology.Unrouted); n != 0 {
		t.Errorf("%d messages have gone to others", n)
	}
	h.Claim("ledger", storetest.IDs(events[500:])...)
	if r, err := republish.Run(t.Context(), h.Config); err != nil || r.Pending() != 0 {
		t.Errorf("when all is handled it says %s, %v", told(r), err)
	}
}

// Only what lies after the point is published, and only for those asked for.
func TestSinceAPoint(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	h.sales(10)
	end, err := eventlog.End(t.Context(), h.DB)
	h.Must(err)
	later := h.sales(5)
	h.Queues, h.After = map[string]string{"view": "composerp.view"}, eventlog.Position{Seq: end}
	if r, err := republish.Run(t.Context(), h.Config); err != nil || told(r) != "view 5/5 " || r.Beyond != end {
		t.Errorf("it says %s beyond place %d, %v", told(r), r.Beyond, err)
	}
	if got := h.Receive("composerp.view", 5); got[0].ID != later[0].ID.String() {
		t.Errorf("the first is %s, want %s", got[0].ID, later[0].ID)
	}
}

func TestAQueueThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	h.sales(10)
	h.DeleteQueue("composerp.view")
	r, err := republish.Run(t.Context(), h.Config)
	if !errors.Is(err, rabbitmq.ErrUnroutable) {
		t.Errorf("it says %s, %v", told(r), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := republish.Run(ctx, h.Config); !errors.Is(err, context.Canceled) {
		t.Errorf("when it is told to stop: %v", err)
	}
}

// BenchmarkRepublish publishes again what is pending for one of two consumers, of 20,000 events.
func BenchmarkRepublish(b *testing.B) {
	h := newEnv(b)
	h.Claim("view", storetest.IDs(h.sales(20_000))...)
	for b.Loop() {
		if r, err := republish.Run(b.Context(), h.Config); err != nil || r.Published() != 20_000 {
			b.Fatalf("%s, %v", told(r), err)
		}
	}
	b.ReportMetric(20_000*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
