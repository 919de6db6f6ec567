package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
)

// Morning is a moment of business time.
var Morning = time.Date(2026, 2, 9, 12, 0, 0, 0, time.UTC)

// Sale is an event as an external publisher sends it.
func Sale(aggregate string) event.Any {
	return SaleWith(uuid.New(), aggregate, 1)
}

// SaleWith is an event whose body contains n.
func SaleWith(id uuid.UUID, aggregate string, n int) event.Any {
	at := time.Date(2011, 8, 1, 9, 30, 0, 123456000, time.UTC)
	body := fmt.Sprintf(`{"eventId":%q,"eventType":"SALE_COMPLETED","aggregateId":%q,"payload":{"quantity":%d}}`, id, aggregate, n)
	return event.Any{
		Envelope: event.Envelope{
			ID: id, Type: event.TypeSaleCompleted, AggregateType: "Sale", AggregateID: aggregate, TenantID: "shop", Timestamp: at, Version: "1.0",
		},
		Body: []byte(body),
	}
}

// Sales are n events of one aggregate.
func Sales(n int) []event.Any {
	var list []event.Any
	for range n {
		list = append(list, Sale("a"))
	}
	return list
}

// IDs are the ids of the events, in order.
func IDs(events []event.Any) (ids []uuid.UUID) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

// PositionKey is a position of the tenant of Sale.
func PositionKey(item, location string) masterdata.PositionKey {
	return masterdata.PositionKey{Tenant: "shop", Item: item, Location: location}
}

// Decimal is the number in the text.
func Decimal(t testing.TB, text string) event.Decimal {
	t.Helper()
	return MustGet(event.ParseDecimal(text))(t)
}

// DecimalPtr is a pointer to the number in the text.
func DecimalPtr(t testing.TB, text string) *event.Decimal {
	t.Helper()
	d := Decimal(t, text)
	return &d
}
