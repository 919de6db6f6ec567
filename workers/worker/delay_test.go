package worker_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/delays"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/timing"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// held is for how long the tests hold an event back: late, and longer than a busy machine takes for the rest.
const held = 2 * timing.LateAfter

// hold lets a time pass in which something is in the way.
func (h *env) hold() {
	h.Helper()
	until := time.Now().Add(held)
	h.Eventually("the event is late", func() bool { return time.Now().After(until) })
}

// explained is where the time of an event's only delivery went, once it is handled.
func (h *env) explained(id uuid.UUID) delays.Delivery {
	h.Helper()
	x := storetest.MustGet(delays.Explain(h.Context(), h.DB, id, nil))(h)
	if x == nil || len(x.Deliveries) != 1 || x.LoggedAt == nil {
		h.Fatalf("want one delivery of %s, got %+v", id, x)
	}
	return x.Deliveries[0]
}

// wantWidest waits until an event was handled, and checks what its delay is explained by.
func (h *env) wantWidest(id uuid.UUID, stage string) {
	h.Helper()
	h.Eventually("the event is handled", func() bool { return h.explained(id).HandledAt != nil })
	d := h.explained(id)
	sum := 0.0
	for _, s := range d.Stages {
		sum += s.Seconds
	}
	if math.Abs(sum-d.Seconds) > 1e-6 {
		h.Errorf("the stages %+v add up to %f s, not to %f", d.Stages, sum, d.Seconds)
	}
	if d.Widest != stage || slices.ContainsFunc(d.Stages, func(s delays.Spent) bool { return s.Stage == delays.Unmeasured }) {
		h.Errorf("want most of the time in %s, got %+v", stage, d)
	}
}

// Whatever holds an event back, its explanation names that.
func TestWhatHoldsAnEventBackIsNamed(t *testing.T) {
	t.Parallel()
	late := errors.New("not yet")
	cases := map[string]func(h *env, e event.Any, w worker.Worker){
		"relay": func(h *env, e event.Any, w worker.Worker) {
			h.StartTicker()
			h.RunWorker(w, 1)
			h.Admit(e)
			h.hold()
			if d := h.explained(e.ID); d.State != "unpublished" || d.Widest != "relay" || d.Seconds < held.Seconds() {
				h.Errorf("want it known while the relay is stopped, got %+v", d)
			}
			h.StartRelay()
		},
		"queue": func(h *env, e event.Any, w worker.Worker) {
			h.StartTicker()
			h.StartRelay()
			h.Admit(e)
			h.Eventually("the event is in the queue", func() bool { return h.Depth(topology.QueueName("echo")) == 1 })
			h.hold()
			if d := h.explained(e.ID); d.Widest != delays.Published {
				h.Errorf("want it known while nothing consumes, got %+v", d)
			}
			h.RunWorker(w, 1)
		},
		"locks": func(h *env, e event.Any, w worker.Worker) {
			h.StartTicker()
			h.StartRelay()
			h.Admit(e)
			h.Eventually("the event is in the queue", func() bool { return h.Depth(topology.QueueName("echo")) == 1 })
			release := storetest.Lock(h, h.URL, `LOCK TABLE inbox_generation IN ACCESS EXCLUSIVE MODE`)
			h.RunWorker(w, 1)
			h.hold()
			release()
		},
	}
	for stage, makeLate := range cases {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			w := echoing(&tries{}, nil)
			h := newEnv(t, w)
			h.Consumer("echo")
			e := workertest.Sale(t, "cup", "shop", "1")
			makeLate(h, e, w)
			h.wantWidest(e.ID, stage)
		})
	}
	t.Run("buffer", func(t *testing.T) {
		t.Parallel()
		first, second := workertest.Sale(t, "cup", "shop", "1"), workertest.Sale(t, "saucer", "shop", "1")
		taken, goOn := make(chan struct{}), make(chan struct{})
		w := echoing(&tries{}, func(_ context.Context, events []event.Any) error {
			if contains(events, first) {
				close(taken)
				<-goOn
			}
			return nil
		}, worker.Batch(1, 10))
		h := newEnv(t, w)
		h.StartTicker()
		h.StartRelay()
		h.RunWorker(w, 1)
		h.Admit(first)
		<-taken
		h.Admit(second)
		h.Eventually("the slot's process has the second", func() bool { return h.Published() && h.Depth(topology.QueueName("echo")) == 0 })
		h.hold()
		close(goOn)
		h.wantWidest(first.ID, "handling")
		h.wantWidest(second.ID, "buffer")
	})
	t.Run("retry", func(t *testing.T) {
		t.Parallel()
		var failed atomic.Bool
		w := echoing(&tries{}, func(context.Context, []event.Any) error {
			if failed.Swap(true) {
				return nil
			}
			return late
		}, worker.RetryDelays(held))
		h := newEnv(t, w)
		h.StartTicker()
		h.StartRelay()
		r := h.RunWorker(w, 1)
		e := workertest.Sale(t, "cup", "shop", "1")
		h.Admit(e)
		h.Eventually("the event is retried", func() bool { return r.Messages("retried") == 1 })
		if d := h.explained(e.ID); d.State != "retried" || len(d.Tries) != 1 {
			h.Errorf("want it known while it waits, got %+v", d)
		}
		h.wantWidest(e.ID, "retry")
	})
	t.Run("breaker", func(t *testing.T) {
		t.Parallel()
		p := newPotter(t, "")
		p.away.Store(true)
		w := calling(map[string]*potter{"shop": p}, worker.RetryDelays(held))
		h := newEnv(t, w)
		h.StartTicker()
		h.StartRelay()
		r := h.RunWorker(w, 1)
		e := workertest.Sale(t, "cup", "shop", "1")
		h.Admit(e)
		h.Eventually("the event is deferred", func() bool { return r.Messages("deferred") >= 1 })
		p.away.Store(false)
		h.wantWidest(e.ID, "breaker")
	})
}

// Of deliveries that are handled at once nothing is kept, and all are in the histograms.
func TestPromptDeliveriesAreCountedAndNotKept(t *testing.T) {
	t.Parallel()
	const n = 50
	w := echoing(&tries{}, nil)
	h := newEnv(t, w)
	h.StartTicker()
	h.StartRelay()
	r := h.RunWorker(w, 1)
	events := sales(t, n)
	h.Admit(events...)
	h.Eventually("all are handled", func() bool { return r.Messages("handled") == n })
	for _, of := range [][]string{{"composerp_delivery_seconds", "queue", "echo"}, {"composerp_delivery_stage_seconds", "queue", "echo", "stage", "relay"},
		{"composerp_delivery_stage_seconds", "queue", "echo", "stage", "handling"}} {
		if got := r.Metric(of[0], of[1:]...); got != n {
			t.Errorf("%v counts %v of %d deliveries", of, got, n)
		}
	}
	if got := r.Metric("composerp_delivery_stage_seconds", "queue", "echo", "stage", "retry"); got != 0 {
		t.Errorf("want no retries, got %v", got)
	}
	for _, d := range storetest.MustGet(delays.Newest(t.Context(), h.DB, 0))(t) { // on a machine that is too busy
		if d.Seconds < timing.LateAfter.Seconds() && d.Widest != "locks" {
			t.Errorf("a delivery of %f s is kept: %+v", d.Seconds, d)
		}
	}
}

// A copy of a message that was handled says nothing new: what is kept is how its event was handled, once.
func TestASecondCopyIsNotKept(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	e := workertest.Sale(t, "cup", "shop", "1")
	h.Admit(e)
	m := workertest.Delivery(e).Message
	times := delay.Since(time.Now().Add(-time.Hour))
	m.Headers, m.OwnUser = map[string]any{rabbitmq.HeaderLogSeq: int64(1), delay.Header: times.String()}, true
	h.Send(m)
	h.Eventually("it is handled", func() bool { return r.Messages("handled") == 1 })
	h.Send(m)
	h.Eventually("its copy is a duplicate", func() bool { return r.Messages("duplicate") == 1 })
	if kept := storetest.MustGet(delays.Newest(t.Context(), h.DB, 0))(t); len(kept) != 1 || kept[0].EventID != e.ID || kept[0].Widest != "queue" || kept[0].Seconds < 3600 {
		t.Errorf("want an hour in the queue, once, got %+v", kept)
	}
	if n := r.Metric("composerp_delivery_seconds", "queue", "echo"); n != 1 {
		t.Errorf("want one delivery counted, got %v", n)
	}
}

// A header that an external publisher forges is not believed; what is known of its event begins with its arrival.
func TestForgedTimesAreNotBelieved(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	m := workertest.Delivery(workertest.Sale(t, "cup", "shop", "1")).Message
	m.OwnUser = false
	m.Headers = map[string]any{"x-times": "1000 999999999999"}
	h.Send(m)
	h.Eventually("it is handled", func() bool { return r.Messages("handled") == 1 })
	if got := r.Metric("composerp_delivery_seconds", "queue", "echo"); got != 0 {
		t.Errorf("want no time since its birth, got %v", got)
	}
	for _, d := range storetest.MustGet(delays.Newest(t.Context(), h.DB, 0))(t) {
		if d.Seconds > 1e5 {
			t.Errorf("the forged time was kept: %+v", d)
		}
	}
}
