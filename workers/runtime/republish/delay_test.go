package republish_test

import (
	"context"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/delays"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/republish"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/timing"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// An event whose queue was lost, and one that came straight over AMQP and was lost on its way, are late because they
// were published again: their times say so.
func TestALostEventIsLateBecauseItWasPublishedAgain(t *testing.T) {
	t.Parallel()
	w := worker.New("echo", worker.On(func(context.Context, *worker.Tx, event.Of[event.SaleCompleted]) error { return nil }))
	h := workertest.NewEnv(t, w)
	h.Consumer("echo")
	h.StartTicker()
	h.StartRelay()
	queue := topology.QueueName("echo")
	relayed, external := workertest.Sale(t, "cup", "shop", "1"), workertest.Sale(t, "saucer", "shop", "1")
	h.Admit(relayed)
	h.Eventually("the event is in its queue", func() bool { return h.Depth(queue) == 1 })
	h.DeleteQueue(queue)
	h.Apply(w)
	h.AdmitPublished(external)
	lost := time.Now()
	h.Eventually("the events are late", func() bool { return time.Since(lost) > 2*timing.LateAfter })
	cfg := republish.Config{DB: h.DB, Broker: h.Broker, Queues: map[string]string{"echo": queue}}
	r, err := republish.Run(t.Context(), cfg)
	if err != nil || r.Published() != 2 {
		t.Fatalf("want two events published again, got %s, %v", told(r), err)
	}
	h.RunWorker(w, 1)
	for what, e := range map[string]event.Any{"relayed": relayed, "external": external} {
		var d delays.Delivery
		h.Eventually(what+" is handled", func() bool {
			x := storetest.MustGet(delays.Explain(t.Context(), h.DB, e.ID, nil))(t)
			if x == nil || len(x.Deliveries) != 1 {
				t.Fatalf("want one delivery of the %s event, got %+v", what, x)
			}
			d = x.Deliveries[0]
			return d.HandledAt != nil
		})
		if d.Widest != "republish" || d.Seconds < 2*timing.LateAfter.Seconds() || d.Stages[0].Stage == delays.Unmeasured {
			t.Errorf("want the %s event's time in republish, got %+v", what, d)
		}
	}
}
