package workers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/approval"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/replenishment"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// counter is a shop whose tills, ledger, replenishment and approval get each other's events at once, without a broker.
type counter struct {
	testing.TB
	url     string
	db      *store.DB
	workers []worker.Worker
}

func newCounter(t testing.TB) *counter {
	c := &counter{TB: t, url: storetest.URL(t), workers: []worker.Worker{ledger.New(), replenishment.New(), approval.New()}}
	c.db = storetest.Open(t, c.url, 4)
	for _, q := range []string{
		`INSERT INTO item (tenant_id, item_id, unit_cost) VALUES ('acme', 'jar', 1.04)`,
		`INSERT INTO location (tenant_id, location_id, kind) VALUES ('acme', 'shop', 'stock')`,
		`INSERT INTO supplier (tenant_id, supplier_id, lead_time_days) VALUES ('acme', 'smith', 4)`,
		`INSERT INTO replenishment_rule (tenant_id, item_id, location_id, supplier_id, reorder_point, order_up_to) VALUES ('acme', 'jar', 'shop', 'smith', 20, 100)`,
		`INSERT INTO tenant_setting (tenant_id, approval_limit) VALUES ('acme', 1000)`,
	} {
		storetest.Exec(t, c.url, q)
	}
	return c
}

// happens lets the workers handle events, and the events that follow, until no more follow. It gives all that
// were emitted.
func (c *counter) happens(events ...event.Any) (said []event.Any) {
	c.Helper()
	for len(events) > 0 {
		var next []event.Any
		for _, w := range c.workers {
			var consumed []event.Any
			for _, e := range events {
				for _, typ := range w.Types() {
					if typ == e.Type {
						consumed = append(consumed, e)
					}
				}
			}
			emitted, err := workertest.Handle(c, c.db, w, consumed...)
			if err != nil {
				c.Fatal(err)
			}
			next = append(next, emitted...)
		}
		said, events = append(said, next...), next
	}
	wrong, err := storetest.CheckPurchasing(c.Context(), c.db)
	if err != nil || len(wrong) > 0 {
		c.Fatalf("%v, %v", wrong, err)
	}
	return said
}

func at(clock string) func(*event.Envelope) {
	return func(env *event.Envelope) {
		moment, err := time.Parse(time.DateTime, "2011-01-18 "+clock)
		if err != nil {
			panic(err)
		}
		env.Timestamp = moment
	}
}

func (c *counter) sale(quantity, clock string) event.Any {
	q := workertest.Decimal(quantity)
	return workertest.Event(c, event.SaleCompleted{SaleID: "541431", ItemID: "jar", LocationID: "shop", Quantity: q, Amount: q, Timestamp: workertest.Day}, at(clock))
}

func (c *counter) orders() string {
	c.Helper()
	return storetest.Value[string](c, c.url, `SELECT coalesce(string_agg(concat_ws(' ', trim_scale(l.quantity)::text, 'for', trim_scale(o.total_amount)::text, o.status, nullif(o.decided_by, '')), ', ' ORDER BY l.ordinal), '')
		FROM purchase_order o JOIN purchase_order_line l USING (tenant_id, purchase_order_id)`)
}

// 74,215 pieces sold at 10:01 and returned at 10:17, as a shop's file once had it: the sale asks for an order that no
// policy lets through. It waits for a person, who finds the pieces back by then and rejects it.
func TestALargeMistakeWaitsForAPerson(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.happens(workertest.Event(t, event.StockCounted{CountID: "c", ItemID: "jar", LocationID: "shop", Quantity: workertest.Decimal("60")}, at("08:00:00")))
	c.happens(c.sale("50", "09:00:00"))
	if got := c.orders(); got != "90 for 93.6 APPROVED policy" {
		t.Errorf("want an everyday order approved, got %s", got)
	}
	c.happens(c.sale("74215", "10:01:00"))
	c.happens(c.sale("-74215", "10:17:00"))
	const waits = "90 for 93.6 APPROVED policy, 74215 for 77183.6 PENDING"
	if got := c.orders(); got != waits {
		t.Errorf("want %s, got %s", waits, got)
	}
	pending, err := purchasing.PurchaseOrders(t.Context(), c.db, purchasing.OrderFilter{Status: purchasing.OrderPending}, 0)
	if err != nil || len(pending) != 1 {
		t.Fatalf("want one order that waits, got %d, %v", len(pending), err)
	}
	if seen := pending[0].Lines[0]; seen.Available.String() != "-74205" || seen.OnOrder.String() != "90" || seen.ReorderPoint.String() != "20" {
		t.Errorf("the rule saw %+v", seen)
	}
	d, err := approval.Reject(t.Context(), c.db, purchasing.OrderKey{Tenant: "acme", Order: pending[0].ID}, operatorlog.By{Operator: "ann", Reason: "a typing mistake, returned at 10:17"})
	if err != nil || d.DecidedAt.Format(time.TimeOnly) != "10:17:00" {
		t.Fatalf("got %+v, %v", d, err)
	}
	c.happens(c.said(d))
	// The need is held for the day, even where it is real; the next day it is not.
	c.happens(c.sale("95", "11:00:00"))
	if got := c.orders(); got != "90 for 93.6 APPROVED policy, 74215 for 77183.6 CANCELLED ann" {
		t.Errorf("the rejected order is back: %s", got)
	}
	next := c.sale("1", "09:00:00")
	c.happens(workertest.Event(t, next.Payload, at("09:00:00"), func(env *event.Envelope) { env.Timestamp = env.Timestamp.AddDate(0, 0, 1) }))
	if got, want := c.orders(), waits[:len("90 for 93.6 APPROVED policy")]+", 74215 for 77183.6 CANCELLED ann, 96 for 99.84 APPROVED policy"; got != want {
		t.Errorf("want %s, got %s", want, got)
	}
}

// said is the decision as the log has it.
func (c *counter) said(d purchasing.OrderDecision) event.Any {
	c.Helper()
	body := storetest.Value[string](c, c.url, `SELECT body FROM event_log WHERE aggregate_id = $1 ORDER BY seq DESC LIMIT 1`, d.Order)
	e, err := event.Decode([]byte(body))
	if err != nil {
		c.Fatal(err)
	}
	return e
}

// A till that sells, a supplier that delivers, two months long: no more is ever on order than was ordered and not
// yet received.
func TestASmallShopsSpring(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.happens(workertest.Event(t, event.StockCounted{CountID: "c", ItemID: "jar", LocationID: "shop", Quantity: workertest.Decimal("60")}, at("08:00:00")))
	onTheWay := map[int][]event.PurchaseOrderCreated{}
	for day := range 60 {
		on := func(env *event.Envelope) { env.Timestamp = workertest.Day.AddDate(0, 0, day) }
		var events []event.Any
		for i, o := range onTheWay[day] {
			order := o.PurchaseOrderID
			if (day+i)%3 == 0 {
				order = ""
			}
			events = append(events, workertest.Event(t, event.ReceiptCompleted{
				ReceiptID: "r", ItemID: "jar", LocationID: "shop", Quantity: o.Lines[0].Quantity, PurchaseOrderID: order, Timestamp: workertest.Day}, on))
		}
		for i := range 5 {
			events = append(events, workertest.Event(t, c.sale(fmt.Sprint(1+(day*7+i*3)%9), "09:00:00").Payload, on))
		}
		for _, e := range c.happens(events...) {
			if o, ok := e.Payload.(event.PurchaseOrderCreated); ok {
				onTheWay[day+4] = append(onTheWay[day+4], o)
			}
		}
	}
	wrong := storetest.Value[int](t, c.url, `SELECT count(*) FROM replenishment_state WHERE on_hand + on_order NOT BETWEEN 21 AND 100 OR on_hand <> (SELECT on_hand FROM position WHERE location_id = 'shop')`)
	made := storetest.Value[int](t, c.url, `SELECT count(*) FROM purchase_order WHERE status = 'APPROVED'`)
	if wrong != 0 || made < 15 {
		t.Errorf("the position is wrong (%d), after %d orders", wrong, made)
	}
}
