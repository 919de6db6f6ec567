package whatif_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
	span "github.com/composerp/composerp/store/whatif"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/whatif"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// day is the business time a number of days, or parts of one, after the first event.
func day(n float64) time.Time { return workertest.Day.Add(time.Duration(n * 24 * float64(time.Hour))) }

// live is what a fleet has made of the days of fill, and stopped.
type live struct{ *workertest.Env }

// at is an event of that day.
func (l live) at(n float64, p event.Payload) event.Any {
	return workertest.Event(l, p, func(env *event.Envelope) { env.Timestamp = day(n) })
}

func (l live) sale(n float64, item, quantity string) event.Any {
	q := workertest.Decimal(quantity)
	return l.at(n, event.SaleCompleted{SaleID: "s", ItemID: item, LocationID: "shop", Quantity: q, Amount: q, Timestamp: day(n)})
}

// receipt is one of an order, or of none.
func (l live) receipt(n float64, item, location, quantity, order string) event.Any {
	return l.at(n, event.ReceiptCompleted{ReceiptID: "r", ItemID: item, LocationID: location, Quantity: workertest.Decimal(quantity),
		PurchaseOrderID: order, Timestamp: day(n)})
}

func (l live) count(n float64, item, quantity string) event.Any {
	return l.at(n, event.StockCounted{CountID: "c", ItemID: item, LocationID: "shop", Quantity: workertest.Decimal(quantity)})
}

// order waits for the nth order, and is its id.
func (l live) order(n int) (id string) {
	l.Helper()
	l.Eventually(fmt.Sprintf("order %d is approved", n), func() bool {
		return storetest.One[int](l, l.SQL(), `SELECT count(*) FROM purchase_order WHERE status = 'APPROVED'`) == n
	})
	return storetest.One[string](l, l.SQL(), `SELECT purchase_order_id FROM purchase_order ORDER BY created_at DESC LIMIT 1`)
}

// newLive has a fleet handle days in which the goods of each order come when the lead time says. Item B is sold,
// ordered and counted; A moves without a rule.
func newLive(t *testing.T) live {
	t.Helper()
	planning := workers.Planning("")
	fleet := []worker.Worker{planning.Ledger, planning.Forecasting, planning.Replenishment, planning.Approval}
	l := live{workertest.NewEnv(t, fleet...)}
	l.Exec(`INSERT INTO tenant_setting (tenant_id, approval_limit, currency) VALUES ($1, 1000, 'GBP')`, workertest.Tenant)
	l.Exec(`INSERT INTO supplier (tenant_id, supplier_id, lead_time_days) VALUES ($1, 'smith', 3)`, workertest.Tenant)
	l.Exec(`INSERT INTO item (tenant_id, item_id, unit_cost) VALUES ($1, 'B', 1.5)`, workertest.Tenant)
	l.Exec(`INSERT INTO replenishment_rule (tenant_id, item_id, location_id, supplier_id, reorder_point, order_up_to, low_stock_threshold)
		VALUES ($1, 'B', 'shop', 'smith', 2, 10, 3)`, workertest.Tenant)
	end := l.StartFleet(fleet...)
	l.Admit(
		l.count(0, "B", "10"), l.receipt(0, "A", "depot", "20", ""), l.sale(1, "B", "5"),
		l.at(1.5, event.TransferInitiated{TransferID: "t", ItemID: "A", FromLocationID: "depot", ToLocationID: "shop", Quantity: workertest.Decimal("8")}),
		l.sale(2, "B", "4"))
	first := l.order(1)
	l.Admit(
		l.at(3, event.ReceiptCompleted{ReceiptID: "r", ItemID: "A", LocationID: "shop", Quantity: workertest.Decimal("8"), TransferID: "t", Timestamp: day(3)}),
		l.sale(4.5, "B", "3"), l.receipt(5, "B", "shop", "9", first), l.sale(6, "B", "1"),
		l.at(6.5, event.StockAdjusted{AdjustmentID: "a", ItemID: "A", LocationID: "shop", Quantity: workertest.Decimal("-1")}),
		l.sale(7, "B", "6"))
	second := l.order(2)
	l.Admit(l.count(8, "A", "5"), l.count(8, "B", "0"), l.receipt(10, "B", "shop", "10", second), l.sale(11, "B", "2"))
	l.Eventually("all is handled", func() bool {
		return l.Published() && storetest.One[int](l, l.SQL(), `SELECT count(*) FROM replenishment_state
			WHERE item_id = 'B' AND on_hand = 8 AND on_order = 0 OR item_id = 'A' AND location_id = 'shop' AND on_hand = 5`) == 2
	})
	end()
	return l
}

// state are the digests of all tables of the live schema, and where its sequences stand.
func (l live) state() string {
	l.Helper()
	var lines []string
	tables := storetest.One[string](l, l.SQL(), `SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = current_schema()`)
	for _, table := range strings.Fields(tables) {
		lines = append(lines, table+" "+storetest.One[string](l, l.SQL(), fmt.Sprintf(
			`SELECT count(*) || ' rows ' || coalesce(md5(string_agg(r::text || r.xmin || r.ctid, '' ORDER BY r::text)), '') FROM %s r`, table)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + storetest.One[string](l, l.SQL(),
		`SELECT string_agg(sequencename || ' ' || coalesce(last_value, 0), ' ' ORDER BY sequencename) FROM pg_sequences WHERE schemaname = current_schema()`)
}

// asked is a run whose rule orders B at nine already.
func asked() whatif.Asked {
	return whatif.Asked{
		Workers: func(bool) whatif.Workers { return workers.Planning("") },
		Change: func(side *store.DB) error {
			nine, ten, three := workertest.Decimal("9"), workertest.Decimal("10"), workertest.Decimal("3")
			_, err := masterdata.SetRules(context.Background(), side, []masterdata.Rule{{Tenant: workertest.Tenant, Item: "B", Location: "shop",
				Supplier: "smith", ReorderPoint: &nine, OrderUpTo: &ten, LowStockThreshold: &three}}, time.Unix(0, 0))
			return err
		},
	}
}

func (l live) run(a whatif.Asked) whatif.Report {
	l.Helper()
	r, err := whatif.Run(l.Context(), l.DB, a)
	l.Must(err)
	return r
}

// figures are those of a column as text, for comparison.
func figures(t *testing.T, f any) string {
	t.Helper()
	text, err := json.Marshal(f)
	storetest.Must(t, err)
	return string(text)
}

// want holds the figures of a position against those that a person has reckoned.
func want(t *testing.T, what string, f whatif.Figures, reckoned string) {
	t.Helper()
	money := func(list []whatif.Money) string {
		if len(list) != 1 || list[0].Currency != "GBP" {
			return fmt.Sprint(list)
		}
		return list[0].Amount.String()
	}
	rate := "none"
	if f.FillRate != nil {
		rate = f.FillRate.String()
	}
	got := fmt.Sprintf("orders %d of %s for %s; out %d times, %s days; sold %s, short %s, filled %s; stock %s, at most %s, worth %s, at most %s; low %d",
		f.Orders, f.OrderedUnits, money(f.OrderValue), f.StockOuts, f.DaysWithoutStock, f.SoldUnits, f.ShortUnits, rate,
		f.AverageUnits, f.HighestUnits, money(f.AverageCapital), money(f.HighestCapital), f.LowStock)
	if got != reckoned {
		t.Errorf("%s is\n%s, want\n%s", what, got, reckoned)
	}
}

// A run changes and leaves nothing; with the rules that were in force it finds what happened; with a higher reorder
// point it finds what a person reckons.
func TestWhatIf(t *testing.T) {
	t.Parallel()
	l := newLive(t)
	before := l.state()
	r := l.run(asked())
	if figures(t, r.Happened) != figures(t, r.Replayed) {
		t.Errorf("with the same rules %s, and what happened is %s", figures(t, r.Replayed), figures(t, r.Happened))
	}
	if r.RulesChanged != 1 || r.Positions != 3 || r.Unmeasured != 0 || r.Events != 15 || !r.From.Equal(day(0)) || !r.To.Equal(day(11)) {
		t.Errorf("the run is of %d events at %d and %d positions, %v to %v, %d rules changed", r.Events, r.Positions, r.Unmeasured, r.From, r.To, r.RulesChanged)
	}
	b := r.Items[0]
	if b.Item != "B" {
		t.Fatalf("%s changes most", b.Item)
	}
	// On hand from each day on: 0: 10, 1: 5, 2: 1 (order of 9), 4.5: -2, 5: 7, 6: 6, 7: 0 (order of 10), 10: 10, 11: 8.
	// In unit-days 10 + 5 + 2.5 + 0 + 7 + 6 + 0 + 10 = 40.5, by 11 days.
	want(t, "what happened", b.Happened,
		"orders 2 of 19 for 28.5; out 2 times, 3.5 days; sold 21, short 2, filled 0.9048; stock 3.682, at most 10, worth 5.52, at most 15; low 2")
	want(t, "the replay", b.Replayed,
		"orders 2 of 19 for 28.5; out 2 times, 3.5 days; sold 21, short 2, filled 0.9048; stock 3.682, at most 10, worth 5.52, at most 15; low 2")
	// 0: 10, 1: 5 (order of 5), 2: 1 (of 4), 4: 6, 4.5: 3 (of 3), 5: 7, 6: 6 (of 1), 7: 0 (of 6), 7.5: 3, 8: counted as
	// 3 where there were 0 of 0, 9: 4, 10: 10, 11: 8 (of 2). In unit-days 10 + 5 + 2 + 3 + 1.5 + 7 + 6 + 0 + 4.5 + 4 +
	// 10 = 53.
	want(t, "what if", b.WhatIf,
		"orders 6 of 21 for 31.5; out 1 times, 0.5 days; sold 21, short 0, filled 1; stock 4.818, at most 10, worth 7.23, at most 15; low 2")
	if again := l.run(asked()); figures(t, again) != figures(t, r) {
		t.Errorf("the same run finds\n%s and then\n%s", figures(t, r), figures(t, again))
	}
	l.fromTheMiddle(t)
	l.loses(t)
	if after := l.state(); after != before {
		t.Errorf("runs have changed the live tables from\n%s\nto\n%s", before, after)
	}
	l.archived(t, r)
}

// fromTheMiddle: a run from day 3 on, of B alone, awaits the order of day 2.
func (l live) fromTheMiddle(t *testing.T) {
	t.Helper()
	a := asked()
	a.From, a.To, a.Item, a.Location = day(3), day(10.5), "B", "shop"
	r := l.run(a)
	if len(r.Items) != 1 || figures(t, r.Items[0].WhatIf) != figures(t, r.WhatIf) || !r.To.Equal(day(10.5)) {
		t.Errorf("of one position, up to %v: %s", r.To, figures(t, r))
	}
	// 3: 1, 4.5: -2, 5: 7, 6: 6, 7: 0 (order of 10), 10: 10. 1.5 + 0 + 7 + 6 + 0 + 5 = 19.5 unit-days, by 7.5 days.
	reckoned := "orders 1 of 10 for 15; out 2 times, 3.5 days; sold 10, short 2, filled 0.8; stock 2.6, at most 10, worth 3.9, at most 15; low 1"
	want(t, "what happened from day 3", r.Happened, reckoned)
	want(t, "the replay from day 3", r.Replayed, reckoned)
	// 3: 1 (9 on order), 4.5: -2 (order of 3), 5: 7, 6: 6 (of 1), 7: 0 (of 6), 7.5: 3, 9: 4, 10: 10.
	// 1.5 + 0 + 7 + 6 + 0 + 4.5 + 4 + 5 = 28 unit-days.
	want(t, "what if from day 3", r.WhatIf,
		"orders 3 of 10 for 15; out 2 times, 1 days; sold 10, short 2, filled 0.8; stock 3.733, at most 10, worth 5.6, at most 15; low 1")
}

// loses: a run whose lock is lost ends with an error, and drops its tables all the same.
func (l live) loses(t *testing.T) {
	t.Helper()
	a := asked()
	a.Progress = func(int64, int64, time.Time) {
		storetest.One[bool](t, l.SQL(), `SELECT pg_terminate_backend(split_part(max(nspname), '_', -2)::int) FROM pg_namespace WHERE nspname ~ '_whatif_'`)
	}
	if _, err := whatif.Run(l.Context(), l.DB, a); err == nil || !strings.Contains(err.Error(), "lock of a what-if") {
		t.Errorf("a run without its lock ends with %v", err)
	}
	if n := storetest.One[int](t, l.SQL(), `SELECT count(*) FROM pg_namespace WHERE nspname ~ '_whatif_'`); n != 0 {
		t.Errorf("%d schemas are left", n)
	}
	content, err := whatif.Count(l.Context(), l.DB, whatif.Asked{Span: span.Span{To: day(7)}})
	l.Must(err)
	if content.Positions != 3 || content.Events[event.TypeSaleCompleted] != 4 {
		t.Errorf("before day 7 there are %+v", content)
	}
}
