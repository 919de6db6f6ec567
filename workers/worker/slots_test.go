package worker_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// scaled runs a worker whose number of slots the test changes.
func (h *env) scaled(w worker.Worker, slots int) (*worker.Runner, *workertest.Part) {
	h.Helper()
	db := storetest.Open(h, h.URL, 12)
	r := &worker.Runner{Worker: w, DB: db, Broker: h.Broker, Node: "test"}
	r.Scale(slots, slots)
	return r, h.Start("worker "+w.Name(), func(ctx context.Context, p *workertest.Part) error {
		r.Log, r.Metrics = p.Logs.Logger(), worker.NewMetrics(p.Metrics)
		return r.Run(ctx)
	})
}

// awaitSlots scales the worker and waits until it has exactly that number of slots.
func (h *env) awaitSlots(r *worker.Runner, slots int) {
	h.Helper()
	r.Scale(slots, slots)
	h.Eventually(fmt.Sprintf("%d slots run", slots), func() bool { return r.Activity().Running == slots })
}

// arrivals counts how often each message came, and which came again.
type arrivals struct {
	mu    sync.Mutex
	of    map[string]int
	again []string
}

func (a *arrivals) note(messages []rabbitmq.Delivery) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range messages {
		a.of[d.ID]++
		if d.Redelivered || d.DeliveryCount > 0 {
			a.again = append(a.again, d.ID)
		}
	}
}

func (a *arrivals) count() (different int, again []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.of), a.again
}

// Slots come and go under load, through zero: every message is handled once. A slot that drains finishes what it was
// sent ahead, so that none comes again.
func TestSlotsComeAndGoUnderLoad(t *testing.T) {
	t.Parallel()
	const n = 6000
	came := &arrivals{of: map[string]int{}}
	h := newEnv(t)
	var free atomic.Bool // until then batches take long enough that some messages are left for the last slots
	w := h.sink(came, n, func(context.Context) {
		if !free.Load() {
			time.Sleep(20 * time.Millisecond)
		}
	}, worker.Batch(5, 50))
	r, _ := h.scaled(w, 1)
	for _, slots := range []int{1, 8, 2, 5, 0} {
		before, _ := came.count()
		h.awaitSlots(r, slots)
		if slots > 0 {
			h.Eventually("some more are handled", func() bool { now, _ := came.count(); return now > before || now == n })
		}
	}
	handled, _ := came.count()
	if left := h.Depth(topology.QueueName("sink")); handled+left != n || left == 0 {
		t.Fatalf("without a slot %d messages are handled and %d wait, of %d", handled, left, n)
	}
	free.Store(true)
	h.awaitSlots(r, 3)
	h.wantOnce(came, n)
}

// The throughput of a worker whose handler waits 20 ms for each message grows with its slots: it is at least 0.9 of
// what as many single ones would do. The test runs alone in its package: it measures.
func TestThroughputGrowsWithSlots(t *testing.T) {
	const batch, batches, tries = 20, 8, 5 // batches that each slot handles in a measurement
	slots := 32
	if testing.Short() || localtest.Slowness() > 4 { // 32 of them keep a core busy
		slots = 8
	}
	w := worker.New("waiting", worker.Batch(batch, 4*batch), worker.On(func(ctx context.Context, _ *worker.Tx, _ event.Of[event.SaleCompleted]) error {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil
	}))
	h := newEnv(t, w)
	r := &worker.Runner{Worker: w, DB: storetest.Open(h, h.URL, slots+1), Broker: h.Broker, Node: "test"}
	r.Scale(1, 1)
	h.Start("worker "+w.Name(), func(ctx context.Context, p *workertest.Part) error {
		r.Log, r.Metrics = p.Logs.Logger(), worker.NewMetrics(p.Metrics)
		return r.Run(ctx)
	})
	reached := func(acked int64) (int64, time.Time) {
		var done worker.Work
		h.Eventually(fmt.Sprintf("%d messages are handled", acked), func() bool {
			done, _ = r.Work()
			return done.Acked >= acked
		})
		return done.Acked, time.Now()
	}
	rate := func(slots int) float64 {
		h.awaitSlots(r, slots)
		done, _ := r.Work()
		from, began := reached(done.Acked + int64(slots*batch))
		to, ended := reached(from + int64(slots*batch*batches))
		return float64(to-from) / ended.Sub(began).Seconds()
	}
	best := 0.0
	for range tries { // a machine that is busy for a moment takes more from many slots than from one
		// Twice as many as are measured: some are handled while slots come and go.
		h.Publish(sales(t, 2*(slots+1)*batch*(batches+2))...)
		one, many := rate(1), rate(slots)
		share := many / (one * float64(slots))
		t.Logf("1 slot handles %.1f messages a second, %d slots %.1f: %.2f of as many single ones", one, slots, many, share)
		if best = max(best, share); best >= 0.9 {
			return
		}
	}
	t.Errorf("%d slots handle %.2f of what as many single ones would, want 0.9", slots, best)
}

// sink is a worker that notes what comes to it, and a queue for it of n messages.
func (h *env) sink(came *arrivals, n int, handle func(context.Context), options ...worker.Option) worker.Worker {
	h.Helper()
	h.ApplyTopology(topology.Compute([]topology.Subscription{{Worker: "sink", RoutingKeys: []string{event.TypeSaleCompleted.RoutingKey()}}}))
	h.Publish(sales(h, n)...)
	return worker.New("counter", append(options, worker.OnMessages(topology.QueueName("sink"), func(ctx context.Context, _ *worker.Tx, messages []rabbitmq.Delivery) error {
		handle(ctx)
		came.note(messages)
		return nil
	}))...)
}

// wantOnce waits until n messages have come, and fails when any came again.
func (h *env) wantOnce(came *arrivals, n int) {
	h.Helper()
	h.Eventually("all are handled", func() bool { now, _ := came.count(); return now == n })
	if _, again := came.count(); len(again) > 0 {
		h.Errorf("%d messages came again, such as %s", len(again), again[0])
	}
	for id, times := range came.of {
		if times != 1 {
			h.Errorf("message %s was handled %d times", id, times)
		}
	}
}

// A slot that was alone gives up what it hid from others: once it has finished that, it holds no more than it handles
// in a second, like the slot beside it.
func TestPrefetchShrinksWhenSlotsGrow(t *testing.T) {
	t.Parallel()
	const n, prefetch, perSecond = 500, 150, 50
	came := &arrivals{of: map[string]int{}}
	h := newEnv(t)
	w := h.sink(came, n, func(context.Context) { time.Sleep(time.Second / perSecond) }, worker.Batch(1, prefetch))
	r, p := h.scaled(w, 1)
	h.Eventually("the only slot holds the worker's prefetch", func() bool { _, held := r.Work(); return held == prefetch })
	r.Scale(2, 2)
	h.Eventually("two slots hold what they handle in a second", func() bool {
		_, held := r.Work()
		return r.Activity().Running == 2 && held <= 2*perSecond && h.Depth(topology.QueueName("sink")) > perSecond
	})
	h.wantOnce(came, n)
	if !p.Logs.Has("the prefetch of a slot changes", fmt.Sprint("from=", prefetch)) {
		t.Errorf("the first slot has kept its prefetch:\n%s", p.Logs)
	}
}

// A slot beside others, in whatever process, holds two batches until a batch has shown how fast it is.
func TestPrefetchBeginsSmallBesideOthers(t *testing.T) {
	t.Parallel()
	const n, batch = 400, 2
	came, release := &arrivals{of: map[string]int{}}, make(chan struct{})
	h := newEnv(t)
	w := h.sink(came, n, func(ctx context.Context) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}, worker.Batch(batch, 50))
	r, p := h.scaled(w, 0)
	r.Scale(1, 8)
	h.Eventually("all but two batches wait", func() bool {
		_, held := r.Work()
		return held == 2*batch && h.Depth(topology.QueueName("sink")) == n-2*batch
	})
	close(release)
	h.wantOnce(came, n)
	if !p.Logs.Has("the prefetch of a slot changes", fmt.Sprint("from=", 2*batch)) {
		t.Errorf("its prefetch has not grown:\n%s", p.Logs)
	}
}

// A slot that drains finishes its batch and the messages sent ahead, however long that takes; meanwhile another slot
// can begin.
func TestASlotThatDrainsFinishesWhatItHas(t *testing.T) {
	t.Parallel()
	const n = 20
	entered, release := make(chan struct{}, n), make(chan struct{})
	var free atomic.Bool
	w := worker.New("echo", worker.OnBatch(func(_ context.Context, tx *worker.Tx, events []event.Any) error {
		if !free.Load() {
			entered <- struct{}{}
			<-release
		}
		for _, e := range events {
			if err := echo(tx, e.Envelope); err != nil {
				return err
			}
		}
		return nil
	}, event.TypeSaleCompleted), worker.Batch(1, n))
	h := newEnv(t, w)
	r, p := h.scaled(w, 1)
	h.awaitSlots(r, 1)
	h.Publish(sales(t, n)...)
	workertest.Wait(t, "the first message is in hand", entered)
	h.Eventually("all others were sent ahead", func() bool { return h.Depth(topology.QueueName("echo")) == 0 })
	r.Scale(0, 0)
	if now := r.Activity(); now.Running != 1 || now.Busy != 1 {
		t.Errorf("while it drains its activity is %+v", now)
	}
	free.Store(true)
	close(release)
	h.wantEffects(n)
	h.awaitSlots(r, 0)
	if again := p.Messages("duplicate"); again != 0 {
		t.Errorf("%d messages came twice", again)
	}
	if left := h.Depth(topology.QueueName("echo")); left != 0 {
		t.Errorf("%d messages went back to the queue", left)
	}
}

// consumers is how many consumers the queue of echo has.
func (h *env) consumers() int {
	h.Helper()
	_, consumers, err := h.Session().Depth(topology.QueueName("echo"))
	h.Must(err)
	return consumers
}

// The number that is wanted outlives the session, also when it is none.
func TestTheNumberOfSlotsOutlivesTheSession(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newEnv(t, w)
	r, _ := h.scaled(w, 2)
	h.awaitSlots(r, 3)
	h.Eventually("its connections are closed", func() bool { return h.closeConnections() > 0 })
	h.Eventually("3 slots consume again", func() bool { return h.consumers() == 3 })
	h.awaitSlots(r, 0)
	h.Eventually("its connections are closed", func() bool { return h.closeConnections() > 0 })
	h.awaitSlots(r, 2)
	h.Publish(sales(t, 10)...)
	h.wantEffects(10)
}
