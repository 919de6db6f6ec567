package event_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// typical returns an event of the most frequent type.
func typical(tb testing.TB) (event.Envelope, event.InventoryUpdated, event.Any) {
	tb.Helper()
	cause := event.Envelope{
		ID:       uuid.MustParse("7d444840-9dc0-11d1-b245-5ffdce74fad2"),
		TenantID: "acme", Timestamp: time.Date(2026, 2, 9, 12, 0, 0, 123456000, time.UTC),
		Metadata: event.Metadata{
			UserID: "till-7", CorrelationID: "sale-541431",
			Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		},
	}
	p := event.InventoryUpdated{
		ItemID: "85123A", LocationID: "UK-WH", TransactionID: "541431-17", TransactionType: event.TransactionSale,
		OnHand: decimal(tb, "1234.5"), Reserved: event.NewDecimal(15), Available: decimal(tb, "1219.5"), Change: event.NewDecimal(-6),
	}
	a, err := event.Derive("ledger", cause, 0, "UK-WH/85123A", 42, p)
	if err != nil {
		tb.Fatal(err)
	}
	return cause, p, a
}

func decimal(tb testing.TB, s string) event.Decimal {
	tb.Helper()
	d, err := event.ParseDecimal(s)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

func BenchmarkDecode(b *testing.B) {
	_, _, a := typical(b)
	b.SetBytes(int64(len(a.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Decode(a.Body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeOutside(b *testing.B) {
	_, _, a := typical(b)
	b.SetBytes(int64(len(a.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.DecodeOutside(a.Body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDerive(b *testing.B) {
	cause, p, a := typical(b)
	b.SetBytes(int64(len(a.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Derive("ledger", cause, 0, "UK-WH/85123A", 42, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	_, p, a := typical(b)
	b.SetBytes(int64(len(a.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Encode(a.Envelope, p); err != nil {
			b.Fatal(err)
		}
	}
}
