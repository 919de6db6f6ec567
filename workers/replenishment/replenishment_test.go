package replenishment_test

import (
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

const point10 = "reorder_point=10"

func TestWhatIsOrdered(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	for name, c := range map[string]struct {
		rule   []string
		left   string
		orders string
	}{
		"above the reorder point":          {rule: []string{point10, "order_up_to=40"}, left: "11"},
		"at it":                            {rule: []string{point10, "order_up_to=40"}, left: "10", orders: "30 of cup for 75"},
		"below it":                         {rule: []string{point10, "order_up_to=40"}, left: "-3", orders: "43 of cup for 107.5"},
		"parts of a unit":                  {rule: []string{point10, "order_up_to=40"}, left: "9.5", orders: "31 of cup for 77.5"},
		"a fixed quantity":                 {rule: []string{point10, "order_quantity=24"}, left: "7", orders: "24 of cup for 60"},
		"a fixed quantity, twice":          {rule: []string{point10, "order_quantity=24"}, left: "-20", orders: "48 of cup for 120"},
		"a fixed quantity that just would": {rule: []string{point10, "order_quantity=5"}, left: "5", orders: "10 of cup for 25"},
		"whole packs":                      {rule: []string{point10, "order_up_to=40", "pack_size=12"}, left: "7", orders: "36 of cup for 90"},
		"a minimum":                        {rule: []string{point10, "order_up_to=12", "minimum_order=20"}, left: "9", orders: "20 of cup for 50"},
		"a minimum in packs":               {rule: []string{point10, "order_up_to=12", "minimum_order=20", "pack_size=8"}, left: "9", orders: "24 of cup for 60"},
		"up to less than the point":        {rule: []string{point10, "order_up_to=4"}, left: "9", orders: "2 of cup for 5"},
		"no word of how much":              {rule: []string{point10}, left: "10", orders: "1 of cup for 2.5"},
		"no supplier":                      {rule: []string{point10, "order_up_to=40", "supplier_id=NULL"}, left: "1"},
		"no reorder point":                 {rule: []string{"order_up_to=40"}, left: "-100"},
		"auto without a forecast":          {rule: []string{point10, "mode='auto'", "order_up_to=40"}, left: "9", orders: "31 of cup for 77.5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := w.tenant(t)
			h.rule("cup", c.rule...)
			h.wantOrders(c.orders, h.counted("cup", c.left))
		})
	}
}

func TestWithoutARuleNothingIsOrdered(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	h.wantOrders("", h.counted("cup", "-5"), h.lowStock("cup"), h.ruleChanged("cup"), h.cancelled("unknown"), h.received("cup", "3", "unknown"))
	h.wantOnOrder("cup", "0")
}

// A rule says nothing of what stands there; the first word on it does.
func TestNothingIsOrderedBeforeStockIsKnown(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	h.rule("cup", point10, "order_up_to=40")
	h.wantOrders("", h.ruleChanged("cup"), h.lowStock("cup"))
	h.wantOrders("40 of cup for 100", h.counted("cup", "0"))
}

func TestAnUnknownPriceIsLeftOut(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	h.rule("cup", point10, "order_up_to=40")
	h.exec(`UPDATE item SET unit_cost = NULL WHERE tenant_id = $1`)
	o := h.wantOrders("40 of cup for 0", h.counted("cup", "0"))
	if o[0].Lines[0].UnitPrice != nil {
		t.Errorf("the line has a price: %s", o[0].Lines[0].UnitPrice)
	}
	if storetest.Value[bool](t, h.URL, `SELECT priced FROM purchase_order`) {
		t.Error("the order is said to be priced")
	}
}

// An order is in its location's currency. A unit cost is in the tenant's: it is no price in another one.
func TestAnOrderIsInItsLocationsCurrency(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	for name, c := range map[string]struct{ tenant, location, order, orders string }{
		"none":                   {"", "", "", "40 of cup for 100"},
		"the tenant's":           {"EUR", "", "EUR", "40 of cup for 100"},
		"the same":               {"EUR", "EUR", "EUR", "40 of cup for 100"},
		"another":                {"EUR", "CHF", "CHF", "40 of cup for 0"},
		"only the location's is": {"", "CHF", "CHF", "40 of cup for 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := w.tenant(t)
			h.exec(`INSERT INTO tenant_setting (tenant_id, currency) VALUES ($1, $2)`, c.tenant)
			h.exec(`INSERT INTO location (tenant_id, location_id, kind, currency) VALUES ($1, 'shop', 'stock', $2)
				ON CONFLICT (tenant_id, location_id) DO UPDATE SET currency = excluded.currency`, c.location)
			h.rule("cup", point10, "order_up_to=40")
			o := h.wantOrders(c.orders, h.counted("cup", "0"))
			if kept := h.text(`SELECT currency FROM purchase_order WHERE tenant_id = $1`); o[0].Currency != c.order || kept != c.order {
				t.Errorf("the order is in %q and was written in %q, want %q", o[0].Currency, kept, c.order)
			}
		})
	}
}

// A total that no event can carry counts as unknown: the order is made all the same, and no sale fails over it.
func TestATotalBeyondAnEvent(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	h.rule("cup", point10, "order_up_to=900000000000000")
	o := h.wantOrders("899999999999995 of cup for 0", h.counted("cup", "5"))
	if o[0].Lines[0].UnitPrice != nil {
		t.Errorf("the line has a price: %s", o[0].Lines[0].UnitPrice)
	}
}

// The packs of the item count where the rule has none of its own.
func TestTheItemsPack(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	h.rule("cup", point10, "order_up_to=40")
	h.exec(`UPDATE item SET pack = 25 WHERE tenant_id = $1`)
	h.wantOrders("50 of cup for 125", h.counted("cup", "0"))
}

// However many events ask, in one batch or in many: one order.
func TestOneNeedOneOrder(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	h.rule("cup", point10, "order_up_to=40")
	h.handle(h.counted("cup", "12"))
	first, second, low := h.sold("cup", "3"), h.sold("cup", "1"), h.lowStock("cup")
	h.wantOrders("31 of cup for 77.5", first, low, second, first, low, h.ruleChanged("cup"))
	h.wantOrders("", second, low, first, h.lowStock("cup"), h.ruleChanged("cup"), h.sold("cup", "1"))
	h.wantOnOrder("cup", "31")
	// 38 are available or on order; 28 more sold, and there is a new need.
	h.wantOrders("30 of cup for 75", h.sold("cup", "28"))
	h.wantOnOrder("cup", "61")
}

// The events of a position in turned order: each alone asks, and the newest decides what stands there.
func TestTurnedOrder(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	for name, batches := range map[string]func(a, b, c event.Any) [][]event.Any{
		"one batch":      func(a, b, c event.Any) [][]event.Any { return [][]event.Any{{c, a, b}} },
		"batch by batch": func(a, b, c event.Any) [][]event.Any { return [][]event.Any{{c}, {b}, {a}, {c, b, a}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := w.tenant(t)
			h.rule("cup", point10, "order_up_to=40")
			h.handle(h.counted("cup", "20"))
			var orders []event.PurchaseOrderCreated
			for _, batch := range batches(h.sold("cup", "5"), h.sold("cup", "5"), h.sold("cup", "5")) {
				orders = append(orders, h.handle(batch...)...)
			}
			if got := ordered(orders); got != "35 of cup for 87.5" {
				t.Errorf("got ordered %q", got)
			}
			h.balances()
		})
	}
}

// The inbox has forgotten an event, and it comes again: it cannot order twice.
func TestAForgottenEventOrdersNothing(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	h.rule("cup", point10, "order_up_to=40")
	count := h.counted("cup", "5")
	h.wantOrders("35 of cup for 87.5", count)
	storetest.Exec(t, h.URL, `DELETE FROM inbox`)
	h.wantOrders("", count)
	h.wantOnOrder("cup", "35")
}

func TestOrdersAreNumberedPerTenantAndYear(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	for _, item := range []string{"cup", "jug", "pot"} {
		h.rule(item, point10, "order_up_to=40")
	}
	orders := h.handle(h.counted("cup", "0"), h.counted("jug", "0"))
	h.day = h.day.AddDate(1, 0, 0)
	orders = append(orders, h.handle(h.counted("pot", "0"), h.sold("cup", "39"))...)
	var numbers string
	for _, o := range orders {
		numbers += o.PONumber + " "
	}
	if numbers != "PO-2024-000001 PO-2024-000002 PO-2025-000001 PO-2025-000002 " {
		t.Errorf("got %s", numbers)
	}
	h.balances()
}

// Sales and returns alone do not tell how much stands at a position: nothing is ordered before a count, a delivery, a
// transfer or an adjustment does, whether the rule or the sale came first.
func TestNothingIsOrderedBeforeTheStockIsKnown(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]func(h *tenant) event.Any{
		"a count":       func(h *tenant) event.Any { return h.moved("cup", "0", event.TransactionCount) },
		"a delivery":    func(h *tenant) event.Any { return h.received("cup", "1", "") },
		"a transfer":    func(h *tenant) event.Any { return h.moved("cup", "1", event.TransactionTransfer) },
		"an adjustment": func(h *tenant) event.Any { return h.moved("cup", "1", event.TransactionAdjustment) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTenant(t)
			h.rule("cup", "reorder_point=10", "order_up_to=40")
			said := h.handle(h.sold("cup", "5"), h.moved("cup", "1", event.TransactionReturn), h.ruleChanged("cup"))
			said = append(said, h.handle(h.sold("cup", "5"), h.lowStock("cup"))...)
			if len(said) > 0 {
				t.Errorf("before, %s", ordered(said))
			}
			if orders := h.handle(known(h)); len(orders) != 1 {
				t.Errorf("afterwards, %s", ordered(orders))
			}
		})
	}
}

// What is history changes the position and orders nothing, in a batch with others too; the next event orders.
func TestHistoryOrdersNothing(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	h.rule("cup", point10, "order_up_to=40")
	h.wantOrders("", workertest.History(h, h.counted("cup", "50")), workertest.History(h, h.sold("cup", "45")))
	h.wantOrders("", workertest.History(h, h.lowStock("cup")))
	h.wantOrders("36 of cup for 90", workertest.History(h, h.sold("cup", "2")), h.received("cup", "1", ""))
	h.wantOnOrder("cup", "36")
	h.wantOrders("", workertest.History(h, h.received("cup", "36", "")))
	h.wantOnOrder("cup", "0")
}
