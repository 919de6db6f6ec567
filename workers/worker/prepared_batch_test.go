package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// A backlog of calls is prepared in few transactions; what needs no call is done
// in them, what does is called once, and what cannot be prepared dies alone.
func TestABacklogIsPreparedTogether(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]func(prepareSale, callAbout) worker.Option{"one by one in a transaction": eachPrepared, "all at once": allPrepared} {
		t.Run(name, func(t *testing.T) { t.Parallel(); testBacklog(t, option) })
	}
}

type (
	prepareSale = func(context.Context, *worker.Tx, event.Of[event.SaleCompleted]) (string, error)
	callAbout   = func(context.Context, event.Of[event.SaleCompleted], string) (worker.Record, error)
)

func eachPrepared(prepare prepareSale, do callAbout) worker.Option {
	return worker.OnPreparedCall(prepare, do)
}

// allPrepared expects each aggregate once, in order.
func allPrepared(prepare prepareSale, do callAbout) worker.Option {
	return worker.OnPreparedCalls(func(ctx context.Context, tx *worker.Tx, events []event.Any) ([]*string, error) {
		items := make([]*string, len(events))
		for i, e := range events {
			if i > 0 && events[i-1].AggregateID >= e.AggregateID {
				return nil, worker.Reject(fmt.Errorf("%s comes after %s", e.AggregateID, events[i-1].AggregateID))
			}
			sale, _ := event.As[event.SaleCompleted](e)
			switch item, err := prepare(ctx, tx, sale); {
			case errors.Is(err, worker.ErrNoCall):
			case err != nil:
				return nil, err
			default:
				items[i] = &item
			}
		}
		return items, nil
	}, func(ctx context.Context, e event.Any, item string) (worker.Record, error) {
		sale, _ := event.As[event.SaleCompleted](e)
		return do(ctx, sale, item)
	}, event.TypeSaleCompleted)
}

func testBacklog(t *testing.T, option func(prepareSale, callAbout) worker.Option) {
	const n = 60
	var mu sync.Mutex
	called, transactions := map[string]int{}, map[*worker.Tx]bool{}
	w := worker.New("echo", option(
		func(ctx context.Context, tx *worker.Tx, sale event.Of[event.SaleCompleted]) (string, error) {
			mu.Lock()
			transactions[tx] = true
			mu.Unlock()
			switch sale.Payload.LocationID {
			case "poison":
				return "", worker.Reject(errors.New("cannot be prepared"))
			case "quiet":
				return "", worker.ErrNoCall
			}
			return sale.Payload.ItemID, nil
		},
		func(_ context.Context, sale event.Of[event.SaleCompleted], item string) (worker.Record, error) {
			mu.Lock()
			defer mu.Unlock()
			called[item]++
			return func(_ context.Context, tx *worker.Tx) error { return echo(tx, sale.Envelope) }, nil
		}))
	h := newEnv(t, w)
	var events []event.Any
	for i := range n {
		place := []string{"shop", "quiet"}[i%2]
		if i == n-1 {
			place = "poison"
		}
		e := workertest.Sale(t, fmt.Sprintf("item-%d", i), place, "1")
		events = append(events, e)
	}
	h.Publish(slices.Concat(events, events)...) // each twice: a copy is no second call
	r := h.RunWorker(w, 1)
	h.Eventually("all is handled", func() bool { return r.Messages("handled")+r.Messages("duplicate")+r.Messages("dead") == 2*n })
	mu.Lock()
	defer mu.Unlock()
	if len(called) != n/2 {
		t.Errorf("%d items were called about, want %d", len(called), n/2)
	}
	for item, times := range called {
		if times != 1 {
			t.Errorf("%d calls about %s", times, item)
		}
	}
	if got := storetest.Value[int](t, h.URL, `SELECT count(*) FROM inbox`); got != n-1 {
		t.Errorf("%d events in the inbox, want %d", got, n-1)
	}
	if r.Messages("dead") != 2 || r.Messages("handled") != n-1 {
		t.Errorf("want both copies of the poison dead and the others handled, got %d and %d", r.Messages("dead"), r.Messages("handled"))
	}
	// One by one there would be a transaction for each of the 2n, and more for the poison.
	if len(transactions) > n {
		t.Errorf("prepared in %d transactions: not together", len(transactions))
	}
}
