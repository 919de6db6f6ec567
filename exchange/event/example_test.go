package event_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// To make an event, fill in the envelope's own fields and the payload. The catalogue provides the rest.
func ExampleEncode() {
	amount, _ := event.ParseDecimal("15.30")
	at := time.Date(2026, 2, 9, 12, 0, 0, 0, time.UTC)
	e, err := event.Encode(event.Envelope{
		ID:          uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad2"),
		AggregateID: "541431",
		TenantID:    "acme",
		Timestamp:   at,
		Metadata:    event.Metadata{Source: "pos-3"},
	}, event.SaleCompleted{
		SaleID: "541431", ItemID: "85123A", LocationID: "UK-WH",
		Quantity: event.NewDecimal(6), Amount: amount, Timestamp: at,
	})
	fmt.Println(strings.ReplaceAll(string(e.Body), `,"`, ",\n\""), err)
	fmt.Println(e.Type.RoutingKey())
	// Output:
	// {"eventId":"7d444840-9dc0-11d1-b245-5ffdce74fad2",
	// "eventType":"SALE_COMPLETED",
	// "aggregateType":"SALES_ORDER",
	// "aggregateId":"541431",
	// "tenantId":"acme",
	// "timestamp":"2026-02-09T12:00:00Z",
	// "version":"1.0",
	// "payload":{"saleId":"541431",
	// "itemId":"85123A",
	// "locationId":"UK-WH",
	// "quantity":6,
	// "amount":15.3,
	// "timestamp":"2026-02-09T12:00:00Z"},
	// "metadata":{"source":"pos-3"}} <nil>
	// integration.sale_completed
}

// An event of an external publisher is checked when it is read. The error is written for the publisher.
func ExampleDecodeOutside() {
	_, err := event.DecodeOutside([]byte(`{
		"eventId": "7d444840-9dc0-11d1-b245-5ffdce74fad2", "eventType": "STOCK_COUNTED", "aggregateType": "STOCK_COUNT",
		"aggregateId": "CC-1", "tenantId": "acme", "timestamp": "2026-02-09T12:00:00Z", "version": "1.0",
		"payload": {"countId": "CC-1", "itemId": "85123A", "locationId": "UK-WH", "quantity": "five"}
	}`))
	var wrong *event.FieldError
	fmt.Println(errors.As(err, &wrong))
	fmt.Println(err)
	// Output:
	// true
	// payload.quantity: want a number, got string "five"
}

// A worker makes the events that follow from another with Derive. When it handles the same event again, it makes the
// same events again.
func ExampleDerive() {
	sale := event.Envelope{
		ID: uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad2"), TenantID: "acme",
		Timestamp: time.Date(2026, 2, 9, 12, 0, 0, 0, time.UTC),
	}
	low := event.InventoryLowStock{
		ItemID: "85123A", LocationID: "UK-WH", Available: event.NewDecimal(5), Threshold: event.NewDecimal(10),
	}
	once, _ := event.Derive("ledger", sale, 0, "UK-WH/85123A", 42, low)
	again, _ := event.Derive("ledger", sale, 0, "UK-WH/85123A", 42, low)
	fmt.Println(once.ID == again.ID, string(once.Body) == string(again.Body))
	fmt.Println(once.Timestamp, once.Metadata.CausationID)
	// Output:
	// true true
	// 2026-02-09 12:00:00 +0000 UTC 7d444840-9dc0-11d1-b245-5ffdce74fad2
}

// As returns an event with its payload as a struct.
func ExampleAs() {
	e, err := event.Decode([]byte(`{"eventId":"7d444840-9dc0-11d1-b245-5ffdce74fad2","eventType":"INVENTORY_LOW_STOCK",
		"aggregateType":"INVENTORY_POSITION","aggregateId":"UK-WH/85123A","tenantId":"acme","timestamp":"2026-02-09T13:00:00+01:00","version":"1.0",
		"payload":{"itemId":"85123A","locationId":"UK-WH","available":5.0,"threshold":10.0,"colour":"white"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	if low, ok := event.As[event.InventoryLowStock](e); ok {
		fmt.Println(low.Payload.ItemID, low.Payload.Available, low.Timestamp)
	}
	// Output: 85123A 5 2026-02-09 12:00:00 +0000 UTC
}
