package replenishment_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// BenchmarkSales is a busy shop: 4,000 items, sold unevenly, in batches of 200, each position with a rule. quiet: all
// stay above their reorder points; shop: one event in forty orders, and what was ordered comes in.
func BenchmarkSales(b *testing.B) {
	const items, size = 4000, 200
	for name, upTo := range map[string]string{"quiet": "100000000", "shop": "150"} {
		b.Run(name, func(b *testing.B) {
			h := newTenant(b)
			random := rand.New(rand.NewPCG(1, 2))
			h.exec(`INSERT INTO item (tenant_id, item_id, unit_cost) SELECT $1, 'item-' || i, 2.5 FROM generate_series(0, $2::int - 1) i`, items)
			h.exec(`INSERT INTO replenishment_rule (tenant_id, item_id, location_id, supplier_id, reorder_point, order_up_to)
				SELECT $1, 'item-' || i, 'shop', 'smith', 50, $3::numeric FROM generate_series(0, $2::int - 1) i`, items, upTo)
			var batch []event.Any
			for i := range items {
				stands := upTo
				if name == "shop" {
					stands = fmt.Sprint(51 + i%100)
				}
				if batch = append(batch, h.counted(fmt.Sprintf("item-%d", i), stands)); len(batch) == size {
					h.handle(batch...)
					batch = nil
				}
			}
			var orders []event.PurchaseOrderCreated
			made := 0
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				batch = batch[:0]
				for _, o := range orders {
					batch = append(batch, h.received(o.Lines[0].ItemID, o.Lines[0].Quantity.String(), o.PurchaseOrderID))
				}
				for len(batch) < size {
					item := int(float64(items) * random.Float64() * random.Float64())
					batch = append(batch, h.sold(fmt.Sprintf("item-%d", item), fmt.Sprint(1+random.IntN(4))))
				}
				b.StartTimer()
				said, err := workertest.Handle(b, h.DB, h.worker, batch...)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				orders = ordersOf(b, said)
				made += len(orders)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(made)/float64(b.N*size), "orders/event")
		})
	}
}
