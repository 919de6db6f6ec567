package bench

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// The sales: of as many items as a small shop has, at one location.
const (
	tenant   = "tenant-0001"
	location = "store-017"
	items    = 1000
)

// sold is the quantity of the i-th sale.
func sold(i int) int64 { return int64(i%5 + 1) }

// opening is the business time of the first sale.
var opening = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)

// newSales makes n sales of about 570 bytes, with a gap of business time between them. They cycle through some of the
// items.
func newSales(n, of int, from time.Time, gap time.Duration) ([]event.Any, error) {
	sales := make([]event.Any, n)
	for i := range sales {
		at, saleID := from.Add(time.Duration(i)*gap), fmt.Sprintf("S-%08d", i)
		e, err := event.Encode(event.Envelope{
			ID: uuid.Must(uuid.NewV7()), AggregateID: saleID, TenantID: tenant, Timestamp: at,
			Metadata: event.Metadata{
				Source: "till-017-03", UserID: "cashier-0042", CorrelationID: uuid.NewString(),
				Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			},
		}, event.SaleCompleted{
			SaleID: saleID, ItemID: itemOf(i, of), LocationID: location, Quantity: event.NewDecimal(sold(i)),
			Amount: event.NewDecimal(sold(i) * 12), ItemName: "Espresso beans 1kg", Timestamp: at,
		})
		if err != nil {
			return nil, fmt.Errorf("making sale %d: %w", i, err)
		}
		sales[i] = e
	}
	return sales, nil
}

// itemOf spreads sales over the items, so that neighbouring sales have different items.
func itemOf(i, of int) string { return fmt.Sprintf("SKU-%06d", i*7919%of) }

// quantityOf is the quantity that n sales took from the shop.
func quantityOf(n int) (total int64) {
	for i := range n {
		total += sold(i)
	}
	return total
}
