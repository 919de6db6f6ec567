package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// A worker that would wait an hour for more handles a lone message at once, a
// full batch as soon as it is full, and what it waits with when it is stopped.
func TestLingering(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var batches []int
	w := worker.New("echo", worker.Batch(10, 50), worker.Linger(time.Hour), worker.OnBatch(func(_ context.Context, _ *worker.Tx, events []event.Any) error {
		mu.Lock()
		defer mu.Unlock()
		batches = append(batches, len(events))
		return nil
	}, event.TypeSaleCompleted))
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	total := 0
	sell := func(n int) {
		var sales []event.Any
		for range n {
			sales = append(sales, workertest.Sale(t, fmt.Sprintf("item-%d", total), "shop", "1"))
			total++
		}
		h.Publish(sales...)
	}
	sell(1)
	h.Eventually("the lone one is handled", func() bool { return r.Messages("handled") == 1 })
	sell(45)
	// Those that come alone do not wait, so the last batch may hold any number of the rest.
	h.Eventually("full batches are handled, and the slot has the rest", func() bool {
		return r.Messages("handled") > total-10 && h.Depth(topology.QueueName("echo")) == 0
	})
	r.End()
	if got := r.Messages("handled"); got != total {
		t.Errorf("%d of %d handled when told to stop", got, total)
	}
	mu.Lock()
	defer mu.Unlock()
	full := 0
	for _, n := range batches {
		if n == 10 {
			full++
		}
	}
	if full < 3 {
		t.Errorf("batches of %v: no slot waited for more", batches)
	}
}
