package stockview_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/stockview"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// BenchmarkSales shows batches of 200 sales of 3,000 items to the view, as a
// slot does under backlog: claimed, written, committed.
func BenchmarkSales(b *testing.B) {
	const items, batch = 3000, 200
	db := storetest.DB(b)
	w := stockview.New()
	events := make([]event.Any, 0, batch)
	handle := func(from, n int) {
		events = events[:0]
		for i := from; i < from+n; i++ {
			sold := event.NewDecimal(int64(i/items + 1)).Neg()
			events = append(events, workertest.Event(b, event.InventoryUpdated{
				ItemID: fmt.Sprintf("item-%d", i*7919%items), LocationID: "UK-WH", OnHand: sold, Available: sold, Change: event.NewDecimal(-1),
				TransactionID: "x", TransactionType: event.TransactionSale,
			}, func(env *event.Envelope) {
				env.Metadata.Sequence = int64(i/items + 1)
				env.Timestamp = workertest.Day.Add(time.Duration(i) * time.Second)
			}))
		}
		b.StartTimer()
		if _, err := workertest.Handle(b, db, w, events...); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
	}
	b.StopTimer()
	for i := 0; i < items; i += batch { // the positions are there already
		handle(i, min(batch, items-i))
	}
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		handle(items+i, min(batch, b.N-i))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
