package workertest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// newWatchman declares a worker that warns of a sale of more than a hundred pieces.
// The handler's signature is the subscription.
func newWatchman() worker.Worker {
	return worker.New("watchman", worker.On(warnOfLargeSales))
}

func warnOfLargeSales(_ context.Context, tx *worker.Tx, sale event.Of[event.SaleCompleted]) error {
	many := event.NewDecimal(100)
	if !sale.Payload.Quantity.GreaterThan(many.Decimal) {
		return nil
	}
	return tx.Emit(sale.Payload.ItemID, 0, event.InventoryLowStock{
		ItemID: sale.Payload.ItemID, LocationID: sale.Payload.LocationID, Available: event.NewDecimal(0), Threshold: many,
	})
}

// A worker, and the test of it: events in, emitted events out, on a database of the test's own.
func Example() {
	storetest.Example(func(t testing.TB) { // in a test: func TestWatchman(t *testing.T)
		db := storetest.DB(t)
		small, large := workertest.Sale(t, "cup", "shop", "2"), workertest.Sale(t, "cup", "shop", "101")

		emitted, err := workertest.Handle(t, db, newWatchman(), small, large, large)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(len(emitted), emitted[0].Metadata.CausationID == large.ID.String())
	})
	// Output: 1 true
}
