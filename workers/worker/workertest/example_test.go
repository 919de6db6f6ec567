package workertest_test

import (
	"context"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// newWatchman declares a worker in the transaction of which a sale of more than
// a hundred pieces is answered by a warning. Its signature is its subscription.
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

// A worker, and the test of it: events in, what it emitted out, on a database of
// the test's own.
func Example() {
	var t *testing.T // the test's: func TestWatchman(t *testing.T)

	db := storetest.DB(t)
	small, large := workertest.Sale(t, "cup", "shop", "2"), workertest.Sale(t, "cup", "shop", "101")

	emitted, err := workertest.Handle(t, db, newWatchman(), small, large, large)
	if err != nil {
		t.Fatal(err)
	}
	if len(emitted) != 1 || emitted[0].Metadata.CausationID != large.ID.String() {
		t.Errorf("want one warning, of the large sale, got %d", len(emitted))
	}
}
