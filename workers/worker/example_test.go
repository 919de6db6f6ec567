package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// lowStock is the event that the examples emit.
func lowStock(item, location string) event.InventoryLowStock {
	return event.InventoryLowStock{ItemID: item, LocationID: location, Available: event.NewDecimal(0), Threshold: event.NewDecimal(1)}
}

// A worker handles one event at a time, in the transaction that also claims the
// event: a second delivery does nothing.
func ExampleOn() {
	w := worker.New("returns", worker.On(func(_ context.Context, tx *worker.Tx, sale event.Of[event.SaleCompleted]) error {
		if !sale.Payload.Quantity.IsNegative() {
			return nil
		}
		return tx.Emit(sale.AggregateID, 0, lowStock(sale.Payload.ItemID, sale.Payload.LocationID))
	}))
	storetest.Example(func(t testing.TB) {
		db, refund := storetest.DB(t), workertest.Sale(t, "cup", "shop", "-1")
		first, err := workertest.Handle(t, db, w, workertest.Sale(t, "cup", "shop", "2"), refund)
		fmt.Println(len(first), err)
		second, err := workertest.Handle(t, db, w, refund)
		fmt.Println(len(second), err)
	})
	// Output:
	// 1 <nil>
	// 0 <nil>
}

// A set-based worker handles all events of a batch at once. It names the cause of
// each event that it emits.
func ExampleOnBatch() {
	w := worker.New("largest", worker.OnBatch(func(_ context.Context, tx *worker.Tx, events []event.Any) error {
		largest, of := event.NewDecimal(0), event.Any{}
		for _, e := range events {
			if sale, is := event.As[event.SaleCompleted](e); is && sale.Payload.Quantity.Cmp(largest) > 0 {
				largest, of = sale.Payload.Quantity, e
			}
		}
		sale, _ := event.As[event.SaleCompleted](of)
		return tx.For(of.Envelope).Emit(of.AggregateID, 0, lowStock(sale.Payload.ItemID, "shop"))
	}, event.TypeSaleCompleted))
	storetest.Example(func(t testing.TB) {
		emitted, err := workertest.Handle(t, storetest.DB(t), w, workertest.Sale(t, "cup", "shop", "2"), workertest.Sale(t, "jar", "shop", "7"))
		fmt.Println(emitted[0].Payload.(event.InventoryLowStock).ItemID, err)
	})
	// Output: jar <nil>
}

// A call to the outside world is made with no transaction open. Its record is
// committed together with the event's row in the inbox.
func ExampleOnCall() {
	w := worker.New("caller", worker.OnCall(func(_ context.Context, sale event.Of[event.SaleCompleted]) (worker.Record, error) {
		fmt.Println("POST with key", webcall.IdempotencyKey(sale.Payload.SaleID, "announce"))
		return func(_ context.Context, tx *worker.Tx) error {
			return tx.Emit(sale.AggregateID, 0, lowStock(sale.Payload.ItemID, "shop"))
		}, nil
	}))
	storetest.Example(func(t testing.TB) {
		emitted, err := workertest.Handle(t, storetest.DB(t), w, workertest.Sale(t, "cup", "shop", "2"))
		fmt.Println(len(emitted), err)
	})
	// Output:
	// POST with key sale-1:announce
	// 1 <nil>
}

// A timer takes a row that is due, does its work and moves the row on, all in one
// transaction. Several processes may run it at once.
func ExampleEvery() {
	w := worker.New("planner",
		worker.On(func(context.Context, *worker.Tx, event.Of[event.SaleCompleted]) error { return nil }),
		worker.Every(time.Second, func(ctx context.Context, tx *worker.Tx) (more bool, err error) {
			run, err := planning.TakeForecastRun(ctx, tx)
			if errors.Is(err, store.ErrNotFound) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			cause := event.Envelope{ID: run.ClosedBy, TenantID: run.Tenant, Timestamp: run.ClosedAt}
			if err := tx.For(cause).EmitDue(run.Location, run.AsOf, run.Location, lowStock("cup", run.Location)); err != nil {
				return false, err
			}
			return true, planning.MoveForecastRun(ctx, tx, run, 1, true)
		}))
	storetest.Example(func(t testing.TB) {
		url := storetest.URL(t)
		storetest.Exec(t, url, `
			INSERT INTO forecast_run (tenant_id, location_id, as_of, previous, closed_by, closed_at, correlation_id, traceparent)
			VALUES ('acme', 'shop', '2024-03-07', '2024-02-29', gen_random_uuid(), '2024-03-08T12:00Z', '', '')`)
		for more := true; more; {
			var emitted []event.Any
			var err error
			emitted, more, err = w.RunTimer(t.Context(), storetest.Open(t, url, 1))
			fmt.Println(len(emitted), more, err)
		}
	})
	// Output:
	// 1 true <nil>
	// 0 false <nil>
}

// Emit needs no cause: the harness holds the event being handled. The new event's
// id follows from it, so that handling the event again emits the same id.
func ExampleTx_Emit() {
	w := worker.New("echo", worker.On(func(_ context.Context, tx *worker.Tx, sale event.Of[event.SaleCompleted]) error {
		return tx.Emit(sale.AggregateID, 0, lowStock(sale.Payload.ItemID, sale.Payload.LocationID))
	}))
	storetest.Example(func(t testing.TB) {
		sale := workertest.Sale(t, "cup", "shop", "1")
		emitted, err := workertest.Handle(t, storetest.DB(t), w, sale)
		e := emitted[0]
		fmt.Println(e.Type, e.Metadata.CausationID == sale.ID.String(), e.ID == event.DeriveID("echo", sale.ID, 0), err)
	})
	// Output: INVENTORY_LOW_STOCK true true <nil>
}

// A rejected event becomes a dead letter at once; any other error is retried.
func ExampleReject() {
	w := worker.New("strict", worker.On(func(_ context.Context, _ *worker.Tx, sale event.Of[event.SaleCompleted]) error {
		return worker.Reject(fmt.Errorf("no item %q", sale.Payload.ItemID))
	}))
	storetest.Example(func(t testing.TB) {
		_, err := workertest.Handle(t, storetest.DB(t), w, workertest.Sale(t, "cup", "shop", "1"))
		fmt.Println(err, errors.Is(err, worker.ErrRejected))
	})
	// Output: no item "cup" true
}
