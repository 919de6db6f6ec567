package lots_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/lots"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// BenchmarkSales books batches of 200 sales of 3,000 items, as a slot does under
// backlog: claimed, written, committed. "short": nothing was ever received;
// "from lots": each item stands in three.
func BenchmarkSales(b *testing.B) {
	for name, received := range map[string]int{"short": 0, "from lots": 3} {
		b.Run(name, func(b *testing.B) { benchmarkSales(b, received) })
	}
}

func benchmarkSales(b *testing.B, received int) {
	const items, batch = 3000, 200
	db := storetest.DB(b)
	w := lots.New()
	var n int
	handle := func(count int, move func(item string) event.InventoryUpdated) {
		events := make([]event.Any, count)
		for i := range events {
			p := move(fmt.Sprintf("item-%d", n*7919%items))
			p.LocationID, p.TransactionID = "UK-WH", "x"
			events[i] = workertest.Event(b, p, func(env *event.Envelope) {
				env.Metadata.Sequence = int64(n/items + 1)
				env.Timestamp = workertest.Day.Add(time.Duration(n) * time.Second)
			})
			n++
		}
		b.StartTimer()
		if _, err := workertest.Handle(b, db, w, events...); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
	}
	b.StopTimer()
	for i := range received {
		for range items / batch {
			handle(batch, func(item string) event.InventoryUpdated {
				return event.InventoryUpdated{
					ItemID: item, Change: event.NewDecimal(100_000), OnHand: event.NewDecimal(100_000), Available: event.NewDecimal(100_000),
					TransactionType: event.TransactionReceipt, LotNumber: fmt.Sprint("lot-", i), ExpiryDate: event.Date(fmt.Sprintf("2026-0%d-01", i+1)),
				}
			})
		}
	}
	sell := func(item string) event.InventoryUpdated {
		return event.InventoryUpdated{ItemID: item, Change: event.NewDecimal(-1), OnHand: event.NewDecimal(-1), Available: event.NewDecimal(-1), TransactionType: event.TransactionSale}
	}
	for range items / batch {
		handle(batch, sell)
	}
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		handle(min(batch, b.N-i), sell)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
