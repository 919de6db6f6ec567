package workertest

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// Tenant is the tenant of test events.
const Tenant = "acme"

// Day is the business time of test events.
var Day = time.Date(2024, time.March, 1, 10, 0, 0, 0, time.UTC)

// Event makes an event with an id of its own; change, if given, changes its
// envelope first. It ends the test where the event would break its schema.
func Event(t testing.TB, p event.Payload, change ...func(*event.Envelope)) event.Any {
	t.Helper()
	env := event.Envelope{ID: uuid.New(), AggregateID: "a-1", TenantID: Tenant, Timestamp: Day, Metadata: event.Metadata{Source: "test"}}
	for _, c := range change {
		c(&env)
	}
	e, err := event.Encode(env, p)
	if err != nil {
		t.Fatalf("making a test event: %v", err)
	}
	return e
}

// WithID gives an event a known id, for Event.
func WithID(id string) func(*event.Envelope) {
	return func(env *event.Envelope) { env.ID = uuid.MustParse(id) }
}

// Decimal reads a quantity. It panics where the text is none.
func Decimal(text string) event.Decimal {
	d, err := event.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}

// Sale is a quantity of an item sold at a location; a negative quantity is a return.
func Sale(t testing.TB, item, location, quantity string) event.Any {
	t.Helper()
	q := Decimal(quantity)
	return Event(t, event.SaleCompleted{SaleID: "sale-1", ItemID: item, LocationID: location, Quantity: q, Amount: q, Timestamp: Day})
}

// Sales are n sales of one cup each.
func Sales(t testing.TB, n int) []event.Any {
	t.Helper()
	sales := make([]event.Any, n)
	for i := range sales {
		sales[i] = Sale(t, "cup", "shop", "1")
	}
	return sales
}

// Receipt is a quantity received from a supplier.
func Receipt(t testing.TB, item, location, quantity string) event.Any {
	t.Helper()
	return Event(t, event.ReceiptCompleted{ReceiptID: "receipt-1", ItemID: item, LocationID: location, Quantity: Decimal(quantity), Timestamp: Day})
}

// Arrival is a quantity received at the end of a transfer.
func Arrival(t testing.TB, item, location, quantity, transfer string) event.Any {
	t.Helper()
	return Event(t, event.ReceiptCompleted{
		ReceiptID: "receipt-1", ItemID: item, LocationID: location, Quantity: Decimal(quantity), TransferID: transfer, Timestamp: Day,
	})
}

// Transfer is a quantity sent from one location to another.
func Transfer(t testing.TB, item, from, to, quantity string) event.Any {
	t.Helper()
	return Event(t, event.TransferInitiated{TransferID: "transfer-1", ItemID: item, FromLocationID: from, ToLocationID: to, Quantity: Decimal(quantity)})
}

// Adjustment is a change of stock by a quantity, up or, negative, down.
func Adjustment(t testing.TB, item, location, quantity string) event.Any {
	t.Helper()
	return Event(t, event.StockAdjusted{AdjustmentID: "adjustment-1", ItemID: item, LocationID: location, Quantity: Decimal(quantity)})
}

// Count is stock found to be exactly a quantity.
func Count(t testing.TB, item, location, quantity string) event.Any {
	t.Helper()
	return Event(t, event.StockCounted{CountID: "count-1", ItemID: item, LocationID: location, Quantity: Decimal(quantity)})
}

// History is the event marked as history.
func History(t testing.TB, e event.Any) event.Any {
	t.Helper()
	e.Metadata.History = true
	marked, err := event.Encode(e.Envelope, e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return marked
}
