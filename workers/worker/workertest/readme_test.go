package workertest_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// The worker of README.md and of the tutorial stands between the two marks, as it stands there.

// begin

// New declares the worker oversold. It consumes INVENTORY_UPDATED and emits INVENTORY_LOW_STOCK
// when a location has sold more of an item than it ever received.
func New() worker.Worker {
	return worker.New("oversold", worker.On(warn))
}

func warn(_ context.Context, tx *worker.Tx, e event.Of[event.InventoryUpdated]) error {
	stock := e.Payload
	before := stock.OnHand.Sub(stock.Change)
	if before.Sign() < 0 || stock.OnHand.Sign() >= 0 {
		return nil // only the movement that crosses zero warns
	}
	return tx.Emit(e.AggregateID, 0, event.InventoryLowStock{
		ItemID: stock.ItemID, LocationID: stock.LocationID, Available: stock.Available,
	})
}

// end

func TestTheWorkerOfTheReadme(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	moved := func(onHand, quantity string) event.Any {
		return workertest.Event(t, event.InventoryUpdated{
			ItemID: "TEA-25", LocationID: "SHOP-1", OnHand: workertest.Decimal(onHand), Available: workertest.Decimal(onHand),
			Change: workertest.Decimal(quantity), TransactionID: "S1", TransactionType: event.TransactionSale,
		})
	}
	crossing := moved("-2", "-3")
	emitted, err := workertest.Handle(t, db, New(), moved("1", "-1"), crossing, moved("-4", "-2"), crossing)
	if err != nil {
		t.Fatal(err)
	}
	if len(emitted) != 1 || emitted[0].Metadata.CausationID != crossing.ID.String() {
		t.Errorf("emitted %d events, want one, caused by the sale that crosses zero", len(emitted))
	}
}

func TestTheReadmeHasTheWorker(t *testing.T) {
	t.Parallel()
	source := read(t, "readme_test.go")
	_, rest, _ := strings.Cut(source, "// begin\n")
	code, _, found := strings.Cut(rest, "// end\n")
	if !found {
		t.Fatal("readme_test.go lacks its marks")
	}
	for _, page := range []string{"../../../README.md", "../../../docs/tutorial/README.md"} {
		if !strings.Contains(read(t, page), "```go\n"+strings.TrimSpace(code)+"\n```\n") {
			t.Errorf("%s has not the worker that is tested here", page)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
