package worker_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// awaitWork waits until that number of messages has left the queue and none is held, and returns the work.
func (h *env) awaitWork(r *worker.Runner, acked int64) (done worker.Work) {
	h.Helper()
	h.Eventually("all messages have left the queue", func() bool {
		work, held := r.Work()
		done = work
		return work.Acked >= acked && held == 0
	})
	return done
}

// A message that fails once leaves the queue twice, and came out of a retry queue once.
func TestWorkCountsRetries(t *testing.T) {
	t.Parallel()
	const n = 20
	var alone atomic.Int64
	once := workertest.Sale(t, "cup", "shop", "1")
	w := echoing(&tries{}, func(_ context.Context, events []event.Any) error {
		if contains(events, once) && (len(events) > 1 || alone.Add(1) == 1) {
			return errors.New("not yet")
		}
		return nil
	}, worker.Batch(10, 20))
	h := newEnv(t, w)
	h.Publish(append(sales(t, n-1), once)...)
	r, _ := h.scaled(w, 1)
	h.wantEffects(n)
	done := h.awaitWork(r, n+1)
	if done.Acked != n+1 || done.Retried != 1 || done.Returned != 1 || done.Deferred != 0 {
		t.Errorf("the work is %+v, want %d acked, 1 retried and 1 returned", done, n+1)
	}
	if done.Batches.Size != n+1 || done.Batches.Weight < 3 || done.Batches.SizeSq < done.Batches.Size || done.Batches.SizeSq > 10*done.Batches.Size || done.Batches.Seconds <= 0 || done.Batches.Product < done.Batches.Seconds {
		t.Errorf("the sums over batches of at most 10 are %+v", done)
	}
}

// While a supplier is away each message leaves for a retry queue and returns, again and again: that is no retry.
func TestWorkCountsDeferrals(t *testing.T) {
	t.Parallel()
	const n = 6
	supplier := newPotter(t, "1")
	supplier.away.Store(true)
	w := calling(map[string]*potter{"potter": supplier})
	h := newEnv(t, w)
	h.Publish(salesAt(t, "potter", n)...)
	r, _ := h.scaled(w, 1)
	h.Eventually("messages are deferred", func() bool { done, _ := r.Work(); return done.Deferred >= n })
	supplier.away.Store(false)
	h.wantEffects(n)
	done, _ := r.Work()
	done = h.awaitWork(r, n+done.Deferred)
	if done.Acked != n+done.Deferred || done.Returned != done.Deferred || done.Retried != 0 {
		t.Errorf("the work is %+v, want as many returned as deferred, acked %d more, and none retried", done, n)
	}
}

// A slot is busy while it has a batch in hand, also before the batch has ended, and its time is counted once.
func TestWorkCountsBatchesInHand(t *testing.T) {
	t.Parallel()
	const hold = 50 * time.Millisecond
	release := make(chan struct{})
	w := echoing(&tries{}, func(ctx context.Context, _ []event.Any) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, worker.Batch(1, 1))
	h := newEnv(t, w)
	h.Publish(sales(t, 2)...)
	began := time.Now()
	r, _ := h.scaled(w, 2)
	busy := func() float64 { done, _ := r.Work(); return done.Busy }
	h.Eventually("both slots have been busy for some time", func() bool { return r.Activity().Busy == 2 && busy() >= 2*hold.Seconds() })
	if done, _ := r.Work(); done.Acked != 0 || done.Batches.Seconds != 0 || done.Busy > 2*time.Since(began).Seconds() {
		t.Errorf("before a batch has ended the work is %+v", done)
	}
	before := busy()
	close(release)
	done := h.awaitWork(r, 2)
	if done.Busy < before || done.Busy != busy() || math.Abs(done.Busy-done.Batches.Seconds) > 1e-6 {
		t.Errorf("once they have ended it is %+v, busy %v before and %v now", done, before, busy())
	}
}

// What a slot was sent ahead, and what is in its batch, is held; what waits behind the prefetch is not.
func TestWorkCountsWhatSlotsHold(t *testing.T) {
	t.Parallel()
	const n, prefetch = 30, 10
	release := make(chan struct{})
	w := echoing(&tries{}, func(ctx context.Context, _ []event.Any) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, worker.Batch(prefetch/2, prefetch))
	h := newEnv(t, w)
	h.Publish(sales(t, n)...)
	r, _ := h.scaled(w, 2)
	h.Eventually("two slots hold their prefetch", func() bool { _, held := r.Work(); return held == 2*prefetch })
	if left := h.Depth(topology.QueueName("echo")); left != n-2*prefetch {
		t.Errorf("%d messages are ready beside %d that are held, of %d", left, 2*prefetch, n)
	}
	if done, _ := r.Work(); done.Acked != 0 || done.Batches.Seconds != 0 {
		t.Errorf("before a batch has ended the work is %+v", done)
	}
	close(release)
	h.wantEffects(n)
	if done := h.awaitWork(r, n); done.Acked != n || done.Returned != 0 {
		t.Errorf("the work is %+v, want %d acked", done, n)
	}
}
