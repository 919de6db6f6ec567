package worker_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestOnHandlesEachTypeWithItsOwnHandler(t *testing.T) {
	t.Parallel()
	sold, counted := make(chan event.Of[event.SaleCompleted], 1), make(chan event.Of[event.StockCounted], 1)
	w := worker.New("two",
		worker.On(func(_ context.Context, tx *worker.Tx, e event.Of[event.SaleCompleted]) error {
			sold <- e
			return echo(tx, e.Envelope)
		}),
		worker.On(func(_ context.Context, tx *worker.Tx, e event.Of[event.StockCounted]) error {
			counted <- e
			return echo(tx, e.Envelope)
		}))
	h := newEnv(t, w)
	r := h.RunWorker(w, 1)
	sale, count := workertest.Sale(t, "cup", "shop", "2.5"), workertest.Count(t, "cup", "shop", "7")
	h.Publish(sale, count)
	if e := workertest.Wait(h, "the sale is handled", sold); e.ID != sale.ID || e.Payload.Quantity.String() != "2.5" || e.TenantID != workertest.Tenant {
		t.Errorf("got another sale: %+v", e)
	}
	if e := workertest.Wait(h, "the count is handled", counted); e.ID != count.ID || e.Payload.Quantity.String() != "7" {
		t.Errorf("got another count: %+v", e)
	}
	h.wantEffects(2)
	h.Eventually("both are counted", func() bool { return r.Messages("handled") == 2 })
}

func TestWhatIsEmittedCarriesOnWhoseItIs(t *testing.T) {
	t.Parallel()
	w := echoing(&tries{}, nil)
	h := newEnv(t, w)
	h.RunWorker(w, 1)
	cause := workertest.Event(t, event.SaleCompleted{
		SaleID: "s", ItemID: "cup", LocationID: "shop", Quantity: event.NewDecimal(1), Amount: event.NewDecimal(1), Timestamp: workertest.Day,
	}, func(env *event.Envelope) {
		env.TenantID = "other"
		env.Metadata = event.Metadata{UserID: "u", CorrelationID: "c", Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
	})
	h.Publish(cause)
	h.wantEffects(1)
	said, err := event.Decode([]byte(storetest.Value[string](t, h.URL, `SELECT body FROM event_log WHERE publish`)))
	h.Must(err)
	want := event.Metadata{
		Source: "echo", UserID: "u", CorrelationID: "c", CausationID: cause.ID.String(), Traceparent: cause.Metadata.Traceparent,
		PublishedAt: cause.Timestamp, // the test's publisher sets it on the message
	}
	if said.Metadata != want || said.TenantID != "other" || !said.Timestamp.Equal(cause.Timestamp) || said.ID != event.DeriveID("echo", cause.ID, 0) {
		t.Errorf("want %+v of the cause's tenant and time, got %+v", want, said.Envelope)
	}
}

func TestOnBatchGetsAllTypesInArrivalOrder(t *testing.T) {
	t.Parallel()
	seen := &tries{}
	w := worker.New("all", worker.OnBatch(func(_ context.Context, tx *worker.Tx, events []event.Any) error {
		seen.note(events)
		return nil
	}, event.TypeSaleCompleted, event.TypeStockCounted))
	h := newEnv(t, w)
	var events []event.Any
	var want []uuid.UUID
	for range 50 {
		sale, count := workertest.Sale(t, "cup", "shop", "1"), workertest.Count(t, "cup", "shop", "1")
		events, want = append(events, sale, count), append(want, sale.ID, count.ID)
	}
	h.Publish(events...)
	r := h.RunWorker(w, 1)
	h.Eventually("all are handled", func() bool { return r.Messages("handled") == len(events) })
	if got := slices.Concat(seen.all()...); !slices.Equal(got, want) {
		t.Errorf("want the order of arrival, got %v instead of %v", got, want)
	}
}

// The trap of DESIGN §5: without a pump behind the library's unbuffered channel
// a batching consumer finds one message at a time, however many wait.
func TestABacklogIsHandledInBigBites(t *testing.T) {
	t.Parallel()
	const backlog, size = 2000, 200
	seen := &tries{}
	w := echoing(seen, nil, worker.Batch(size, 5*size))
	h := newEnv(t, w)
	h.Publish(sales(t, backlog)...)
	h.RunWorker(w, 1)
	h.wantEffects(backlog)
	if largest, batches := seen.largest(), len(seen.all()); largest != size || batches > 3*backlog/size {
		t.Errorf("want batches of %d, got %d batches, the largest of %d", size, batches, largest)
	}
}

func TestALoneEventIsNotKeptWaitingForMore(t *testing.T) {
	t.Parallel()
	seen := &tries{}
	w := echoing(seen, nil)
	h := newEnv(t, w)
	h.RunWorker(w, 1)
	for i, e := range sales(t, 5) {
		h.Publish(e)
		h.wantEffects(i + 1)
	}
	if n := len(seen.all()); n != 5 {
		t.Errorf("want five batches, got %d", n)
	}
}

func TestDeclarationsThatContradictThemselvesPanic(t *testing.T) {
	t.Parallel()
	batch := func(context.Context, *worker.Tx, []event.Any) error { return nil }
	on := func(context.Context, *worker.Tx, event.Of[event.SaleCompleted]) error { return nil }
	call := func(context.Context, event.Of[event.StockCounted]) (worker.Record, error) { return nil, nil }
	for name, options := range map[string][]worker.Option{
		"no subscription":            {},
		"one type twice":             {worker.On(on), worker.OnBatch(batch, event.TypeSaleCompleted)},
		"two batch handlers":         {worker.OnBatch(batch, event.TypeSaleCompleted), worker.OnBatch(batch, event.TypeStockCounted)},
		"batch and call":             {worker.OnBatch(batch, event.TypeSaleCompleted), worker.OnCall(call)},
		"batch without a type":       {worker.OnBatch(batch)},
		"batch and each":             {worker.OnBatch(batch, event.TypeStockCounted), worker.On(on)},
		"a call that needs no inbox": {worker.Idempotent(), worker.OnCall(call)},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: want a panic", name)
				}
			}()
			worker.New("wrong", options...)
		}()
	}
}
