package stockview_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	storestockview "github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/stockview"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// book is a log: what it says stands one after the other in it.
type book struct {
	testing.TB
	tenant   string
	events   []event.Any
	sequence map[string]int64
	onHand   map[string]event.Decimal
}

func newBook(t testing.TB, tenant string) *book {
	return &book{TB: t, tenant: tenant, sequence: map[string]int64{}, onHand: map[string]event.Decimal{}}
}

func (b *book) say(p event.Payload, sequence int64) {
	b.Helper()
	e := workertest.Event(b, p, func(env *event.Envelope) {
		env.TenantID, env.Metadata.Sequence = b.tenant, sequence
		env.Timestamp = workertest.Day.Add(time.Duration(len(b.events)) * time.Hour)
	})
	e.LogSeq = int64(len(b.events) + 1)
	b.events = append(b.events, e)
}

func (b *book) move(item string, kind event.TransactionType, quantity, order string) {
	b.Helper()
	q := workertest.Decimal(quantity)
	b.sequence[item]++
	b.onHand[item] = b.onHand[item].Add(q)
	b.say(event.InventoryUpdated{
		ItemID: item, LocationID: "shop", OnHand: b.onHand[item], Available: b.onHand[item], Change: q,
		TransactionID: "x", TransactionType: kind, PurchaseOrderID: order,
	}, b.sequence[item])
}

func (b *book) sell(item, quantity string) { b.move(item, event.TransactionSale, "-"+quantity, "") }

func (b *book) receive(item, quantity, order string) {
	b.move(item, event.TransactionReceipt, quantity, order)
}

func (b *book) order(id, item, quantity string) {
	b.say(event.PurchaseOrderCreated{
		PurchaseOrderID: id, PONumber: "PO-" + id, SupplierID: "dairy", LocationID: "shop", Status: event.PurchaseOrderPending,
		Lines: []event.PurchaseOrderLine{{ItemID: item, Quantity: workertest.Decimal(quantity)}},
	}, 0)
}

func (b *book) approve(id string) {
	b.say(event.PurchaseOrderApproved{PurchaseOrderID: id, ApprovedBy: "policy", ApprovedAt: workertest.Day}, 0)
}

func (b *book) cancel(id string) {
	b.say(event.PurchaseOrderCancelled{PurchaseOrderID: id, Reason: "too dear"}, 0)
}

func (b *book) forecast(item string, start event.Date, days ...string) {
	f := event.ForecastGenerated{
		ItemID: item, LocationID: "shop", ModelType: "BASELINE", ForecastCount: int64(len(days)), StartDate: start, EndDate: start.AddDays(len(days) - 1),
	}
	for _, d := range days {
		f.DailyDemand = append(f.DailyDemand, workertest.Decimal(d))
	}
	b.say(f, 0)
}

// trigger is the word of a rule that has seen all movements of the item but the last few.
func (b *book) trigger(item, point, order string, but int64) {
	b.say(event.ReplenishmentTriggered{
		RuleID: "r", ItemID: item, LocationID: "shop", ReorderPoint: workertest.Decimal(point), Quantity: workertest.Decimal("1"), PurchaseOrderID: order,
	}, b.sequence[item]-but)
}

// plan tells a row as "milk 5+12 cover 2.5 next 1 APPROVED 12 due 2024-03-04".
func plan(t testing.TB, db *store.DB, q storestockview.StockQuery) string {
	t.Helper()
	rows, err := storestockview.ListPlannedStock(t.Context(), db, q)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, r := range rows {
		line := fmt.Sprintf("%s %s+%s", r.Item, r.OnHand, r.OnOrder)
		if r.DaysOfCover != nil {
			line += " cover " + r.DaysOfCover.String()
		}
		if n := r.Next; n != nil && n.ReorderOn != "" {
			line += " reorder " + string(n.ReorderOn)
		} else if n != nil {
			line += fmt.Sprintf(" next %s %s %s due %s", strings.TrimPrefix(n.Number, "PO-"), n.Status, n.Quantity, n.ExpectedOn)
		}
		told = append(told, line)
	}
	return strings.Join(told, "; ")
}

// open makes a tenant with a supplier who takes three days, and a rule for milk.
func open(t testing.TB, url, tenant string) {
	t.Helper()
	storetest.Exec(t, url, `INSERT INTO supplier (tenant_id, supplier_id, lead_time_days) VALUES ($1, 'dairy', 3)`, tenant)
	storetest.Exec(t, url, `INSERT INTO replenishment_rule (tenant_id, item_id, location_id, supplier_id, reorder_point)
		VALUES ($1, 'milk', 'shop', 'dairy', 10)`, tenant)
}

func see(t testing.TB, db *store.DB, events ...event.Any) {
	t.Helper()
	if said, err := workertest.Handle(t, db, stockview.New(), events...); err != nil || len(said) != 0 {
		t.Fatalf("want no word, got %d events and %v", len(said), err)
	}
}

// What a planner sees, in log order, turned round, and event by event.
func TestWhatAPlannerSees(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 8)
	for name, c := range map[string]struct {
		history func(b *book)
		want    string
	}{
		"an order":                       {func(b *book) { b.order("1", "milk", "12") }, "milk 0+12 next 1 PENDING 12 due 2024-03-04"},
		"approved":                       {func(b *book) { b.order("1", "milk", "12"); b.approve("1") }, "milk 0+12 next 1 APPROVED 12 due 2024-03-04"},
		"cancelled before anything came": {func(b *book) { b.order("1", "milk", "12"); b.cancel("1") }, ""},
		"approved and cancelled": {func(b *book) { b.sell("milk", "1"); b.order("1", "milk", "12"); b.approve("1"); b.cancel("1") },
			"milk -1+0"},
		"a part has come": {func(b *book) { b.order("1", "milk", "12"); b.receive("milk", "5", "1") }, "milk 5+7 next 1 PENDING 7 due 2024-03-04"},
		"all has come":    {func(b *book) { b.order("1", "milk", "12"); b.receive("milk", "12", "1") }, "milk 12+0"},
		"too much has come": {func(b *book) { b.order("1", "milk", "12"); b.order("2", "milk", "3"); b.receive("milk", "14", "1") },
			"milk 14+3 next 2 PENDING 3 due 2024-03-04"},
		"named is named": {func(b *book) { b.order("1", "milk", "12"); b.order("2", "milk", "3"); b.receive("milk", "3", "2") },
			"milk 3+12 next 1 PENDING 12 due 2024-03-04"},
		"unnamed, the oldest open first": {func(b *book) { b.order("1", "milk", "12"); b.order("2", "milk", "3"); b.receive("milk", "13", "") },
			"milk 13+2 next 2 PENDING 2 due 2024-03-04"},
		"unnamed, more than is open": {func(b *book) { b.order("1", "milk", "12"); b.receive("milk", "20", ""); b.order("2", "milk", "3") },
			"milk 20+3 next 2 PENDING 3 due 2024-03-04"},
		"unnamed, before there was an order": {func(b *book) { b.receive("milk", "20", ""); b.order("1", "milk", "12") },
			"milk 20+12 next 1 PENDING 12 due 2024-03-04"},
		"unnamed, before and after a cancellation": {func(b *book) {
			b.order("1", "milk", "12")
			b.receive("milk", "4", "")
			b.cancel("1")
			b.order("2", "milk", "6")
			b.receive("milk", "4", "")
		}, "milk 8+2 next 2 PENDING 2 due 2024-03-04"},
		"unnamed, on the way while it was ordered": {func(b *book) {
			b.sell("milk", "1")
			b.receive("milk", "4", "")
			b.trigger("milk", "10", "1", 1)
			b.order("1", "milk", "12")
		}, "milk 3+8 next 1 PENDING 8 due 2024-03-04"},
		"unnamed, and ordered because of it": {func(b *book) {
			b.sell("milk", "1")
			b.receive("milk", "4", "")
			b.trigger("milk", "10", "1", 0)
			b.order("1", "milk", "12")
		}, "milk 3+12 next 1 PENDING 12 due 2024-03-04"},
		"an unknown order": {func(b *book) { b.order("1", "milk", "12"); b.receive("milk", "5", "none") },
			"milk 5+12 next 1 PENDING 12 due 2024-03-04"},
		"a transfer is no supplier's": {func(b *book) { b.order("1", "milk", "12"); b.move("milk", event.TransactionTransfer, "5", "") },
			"milk 5+12 next 1 PENDING 12 due 2024-03-04"},
		"other items' orders": {func(b *book) { b.order("1", "tea", "12"); b.receive("milk", "5", "") },
			"milk 5+0; tea 0+12 next 1 PENDING 12 due 2024-03-04"},
		"cover, and when to order": {func(b *book) { b.receive("milk", "25", ""); b.forecast("milk", "2024-03-01", "4", "6", "5") },
			"milk 25+0 cover 5 reorder 2024-03-04"},
		"at the reorder point": {func(b *book) { b.receive("milk", "10", ""); b.forecast("milk", "2024-03-01", "3") },
			"milk 10+0 cover 3.3 reorder 2024-03-01"},
		"a day that is not full": {func(b *book) { b.receive("milk", "12", ""); b.forecast("milk", "2024-03-01", "3") },
			"milk 12+0 cover 4 reorder 2024-03-02"},
		"nothing available": {func(b *book) { b.sell("milk", "3"); b.forecast("milk", "2024-03-01", "3") },
			"milk -3+0 cover 0 reorder 2024-03-01"},
		"no demand expected": {func(b *book) { b.receive("milk", "25", ""); b.forecast("milk", "2024-03-01", "0", "0") }, "milk 25+0"},
		"no rule": {func(b *book) {
			b.receive("tea", "25", "")
			b.forecast("tea", "2024-03-01", "5")
			b.trigger("tea", "3", "", 0)
		}, "tea 25+0 cover 5"},
		"the newest forecast": {func(b *book) {
			b.receive("milk", "30", "")
			b.forecast("milk", "2024-03-08", "5")
			b.forecast("milk", "2024-03-01", "1")
			b.forecast("milk", "2024-03-08", "10")
		}, "milk 30+0 cover 3 reorder 2024-03-03"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, turned := newBook(t, name), newBook(t, name+", turned")
			open(t, url, in.tenant)
			open(t, url, turned.tenant)
			c.history(in)
			c.history(turned)
			see(t, db, in.events...)
			if got := plan(t, db, storestockview.StockQuery{Tenant: in.tenant}); got != c.want {
				t.Errorf("want %s, got %s", c.want, got)
			}
			for _, e := range slices.Backward(turned.events) {
				see(t, db, e, e)
			}
			if got := plan(t, db, storestockview.StockQuery{Tenant: turned.tenant}); got != c.want {
				t.Errorf("turned round: want %s, got %s", c.want, got)
			}
		})
	}
}

// A random history comes to the same view in any order, in any batches, by any number of slots.
func TestTheViewIsTheSameInAnyOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 3))
	b := newBook(t, workertest.Tenant)
	for i := range 400 {
		item := []string{"milk", "tea", "rye"}[random.IntN(3)]
		order := fmt.Sprint(i)
		earlier := fmt.Sprint(random.IntN(i + 1))
		quantity := fmt.Sprint(1 + random.IntN(9))
		switch random.IntN(8) {
		case 0, 1:
			b.sell(item, quantity)
		case 2:
			b.order(order, item, quantity)
		case 3:
			b.approve(earlier)
		case 4:
			b.cancel(earlier)
		case 5:
			b.receive(item, quantity, earlier)
		case 6:
			b.receive(item, quantity, "")
		case 7:
			b.forecast(item, event.Date("2024-03-01").AddDays(random.IntN(20)), quantity)
		}
	}
	ordered := storetest.DB(t)
	see(t, ordered, b.events...)
	want := plan(t, ordered, storestockview.StockQuery{})
	if strings.Count(want, " next ") < 3 {
		t.Fatalf("the history leaves too little open: %s", want)
	}
	for slots := 1; slots <= 4; slots += 3 {
		db := storetest.DB(t)
		events := slices.Clone(b.events)
		events = append(events, b.events[:100]...)
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		batches := slices.Collect(slices.Chunk(events, 1+random.IntN(20)))
		var run []func(context.Context) error
		for slot := range slots {
			run = append(run, func(context.Context) error {
				for i := slot; i < len(batches); i += slots {
					if _, err := workertest.Handle(t, db, stockview.New(), batches[i]...); err != nil {
						return err
					}
				}
				return nil
			})
		}
		storetest.Concurrently(t, run...)
		if got := plan(t, db, storestockview.StockQuery{}); got != want {
			t.Errorf("by %d slots: want\n%s, got\n%s", slots, want, got)
		}
	}
}
