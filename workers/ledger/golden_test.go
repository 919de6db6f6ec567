package ledger_test

import (
	"bytes"
	"testing"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// TestEmittedEventsAreGolden pins what the ledger says, byte for byte: ids
// included, since a consumer must recognise it.
func TestEmittedEventsAreGolden(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	key := masterdata.PositionKey{Tenant: workertest.Tenant, Item: "cup", Location: "shop"}
	watches(t, db, key, "9")
	receipt := workertest.Event(t, event.ReceiptCompleted{
		ReceiptID: "r", ItemID: "cup", LocationID: "shop", Quantity: workertest.Decimal("10"), LotNumber: "lot-7", PurchaseOrderID: "po-1", Timestamp: workertest.Day,
	}, workertest.WithID("00000000-0000-4000-8000-000000000001"))
	sale := workertest.Event(t, event.SaleCompleted{
		SaleID: "s", ItemID: "cup", LocationID: "shop", Quantity: workertest.Decimal("2.5"), Amount: workertest.Decimal("5"), Timestamp: workertest.Day,
	}, workertest.WithID("00000000-0000-4000-8000-000000000002"), func(env *event.Envelope) { env.Metadata.CorrelationID = "order-1" })
	var got bytes.Buffer
	for _, e := range handle(t, db, receipt, sale) {
		got.Write(append(e.Body, '\n'))
	}
	golden.Compare(t, "testdata/emitted.ndjson", got.String())
}
