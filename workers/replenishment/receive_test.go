package replenishment_test

import "testing"

// line gives "received of quantity, open" of an order.
func (h *tenant) line(order string) string {
	h.Helper()
	return h.text(`SELECT trim_scale(received) || ' of ' || trim_scale(quantity) || CASE WHEN open THEN ', open' ELSE '' END
		FROM purchase_order_line WHERE tenant_id = $1 AND purchase_order_id = $2`, order)
}

func (h *tenant) wantLine(order, want string) {
	h.Helper()
	if got := h.line(order); got != want {
		h.Errorf("want %s, got %s", want, got)
	}
}

// short makes a tenant that has two orders open for cups, of 30 and then of 31.
func short(t *testing.T, w *env) (h *tenant, first, second string) {
	h = w.tenant(t)
	h.rule("cup", point10, "order_up_to=40")
	first = h.wantOrders("30 of cup for 75", h.counted("cup", "10"))[0].PurchaseOrderID
	second = h.wantOrders("31 of cup for 77.5", h.sold("cup", "31"))[0].PurchaseOrderID
	h.wantOnOrder("cup", "61")
	return h, first, second
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	t.Run("whole and named", func(t *testing.T) {
		t.Parallel()
		h, first, second := short(t, w)
		h.wantOrders("", h.received("cup", "31", second))
		h.wantOnOrder("cup", "30")
		h.wantLine(first, "0 of 30, open")
		h.wantLine(second, "31 of 31")
	})
	t.Run("in parts, in one batch and in several", func(t *testing.T) {
		t.Parallel()
		h, first, second := short(t, w)
		h.wantOrders("", h.received("cup", "10", first), h.received("cup", "5", first))
		h.wantLine(first, "15 of 30, open")
		h.wantOrders("", h.received("cup", "15", first))
		h.wantLine(first, "30 of 30")
		h.wantLine(second, "0 of 31, open")
		h.wantOnOrder("cup", "31")
	})
	t.Run("nameless, over both", func(t *testing.T) {
		t.Parallel()
		h, first, second := short(t, w)
		h.wantOrders("", h.received("cup", "35", ""))
		h.wantLine(first, "30 of 30")
		h.wantLine(second, "5 of 31, open")
		h.wantOnOrder("cup", "26")
		h.wantOrders("", h.received("cup", "100", ""))
		h.wantLine(second, "31 of 31")
		h.wantOnOrder("cup", "0")
	})
	t.Run("too much for the one named", func(t *testing.T) {
		t.Parallel()
		h, first, second := short(t, w)
		h.wantOrders("", h.received("cup", "50", first))
		h.wantLine(first, "50 of 30")
		h.wantLine(second, "0 of 31, open")
		h.wantOnOrder("cup", "31")
	})
	t.Run("doubled", func(t *testing.T) {
		t.Parallel()
		h, first, second := short(t, w)
		receipt := h.received("cup", "30", first)
		h.wantOrders("", receipt, receipt)
		h.wantOrders("", receipt)
		h.wantLine(first, "30 of 30")
		// Said twice by the warehouse, under two ids: the order has come twice, the other has not come.
		h.wantOrders("", h.received("cup", "30", first))
		h.wantLine(first, "60 of 30")
		h.wantLine(second, "0 of 31, open")
	})
	t.Run("of an unknown order", func(t *testing.T) {
		t.Parallel()
		h, first, second := short(t, w)
		h.wantOrders("", h.received("cup", "30", "unknown"))
		h.wantLine(first, "0 of 30, open")
		h.wantLine(second, "0 of 31, open")
		h.wantOnOrder("cup", "61")
	})
	t.Run("of an order for something else", func(t *testing.T) {
		t.Parallel()
		h, first, _ := short(t, w)
		h.rule("jug", point10, "order_up_to=40")
		h.wantOrders("40 of jug for 100", h.counted("jug", "0"))
		h.wantOrders("", h.received("jug", "30", first))
		h.wantOnOrder("cup", "61")
		h.wantOnOrder("jug", "40")
	})
	t.Run("before the order is made", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", point10, "order_up_to=40")
		h.wantOrders("", h.received("cup", "50", ""))
		h.wantOrders("30 of cup for 75", h.sold("cup", "40"))
		h.wantOnOrder("cup", "30")
	})
	t.Run("consumed after the order that was made with it in sight", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", point10, "order_up_to=40")
		late := h.received("cup", "3", "")
		o := h.wantOrders("40 of cup for 100", h.counted("cup", "0"))
		h.wantOrders("", late)
		h.wantLine(o[0].PurchaseOrderID, "0 of 40, open")
		h.wantOnOrder("cup", "40")
		h.wantOrders("", h.received("cup", "3", ""))
		h.wantOnOrder("cup", "37")
	})
	t.Run("for an order of the same batch", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", point10, "order_up_to=40")
		o := h.wantOrders("40 of cup for 100", h.counted("cup", "0"), h.received("cup", "25", ""))
		h.wantLine(o[0].PurchaseOrderID, "25 of 40, open")
		h.wantOnOrder("cup", "15")
	})
}

// While a delivery is booked the position never dips: on hand and on order change together, and in turned order it is
// rather too high for a moment than too low.
func TestADeliveryOrdersNothing(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	h.rule("cup", point10, "order_up_to=40")
	h.handle(h.counted("cup", "10"))
	receipt, sale := h.received("cup", "30", ""), h.sold("cup", "1")
	h.wantOrders("", sale)
	h.wantOnOrder("cup", "30")
	h.wantOrders("", receipt)
	h.wantOnOrder("cup", "0")
	if got := h.text(`SELECT on_hand::text FROM replenishment_state WHERE tenant_id = $1`); got != "39" {
		t.Errorf("want 39 on hand, got %s", got)
	}
}

// The end of a transfer is no supplier's delivery.
func TestATransferIsNoReceipt(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	h, _, _ := short(t, w)
	h.wantOrders("", h.moved("cup", "20", "TRANSFER"))
	h.wantOnOrder("cup", "61")
}

func TestARejectedOrder(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	reject := func(t *testing.T) (*tenant, string) {
		h := w.tenant(t)
		h.rule("cup", point10, "order_up_to=40")
		order := h.wantOrders("35 of cup for 87.5", h.counted("cup", "5"))[0].PurchaseOrderID
		h.wantOrders("", h.cancelled(order))
		h.wantOnOrder("cup", "0")
		if got := h.text(`SELECT status || ' ' || decided_by FROM purchase_order WHERE tenant_id = $1`); got != "CANCELLED ann" {
			t.Errorf("the order is %s", got)
		}
		return h, order
	}
	t.Run("does not come back the same day", func(t *testing.T) {
		t.Parallel()
		h, order := reject(t)
		h.wantOrders("", h.sold("cup", "1"), h.lowStock("cup"), h.sold("cup", "1"), h.cancelled(order), h.forecast("cup", "2024-03-02", "1", "5"))
	})
	t.Run("comes back on the next", func(t *testing.T) {
		t.Parallel()
		h, _ := reject(t)
		h.day = h.day.AddDate(0, 0, 1)
		h.wantOrders("36 of cup for 90", h.sold("cup", "1"), h.sold("cup", "1"))
		h.wantOrders("", h.sold("cup", "1"))
	})
	t.Run("comes back when the rule changes", func(t *testing.T) {
		t.Parallel()
		h, _ := reject(t)
		h.rule("cup", point10, "order_up_to=20")
		h.wantOrders("15 of cup for 37.5", h.ruleChanged("cup"))
	})
	t.Run("comes back when the rule changed before the rejection was consumed", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", point10, "order_up_to=40")
		order := h.wantOrders("35 of cup for 87.5", h.counted("cup", "5"))[0].PurchaseOrderID
		h.rule("cup", point10, "order_up_to=20")
		h.wantOrders("", h.cancelled(order), h.sold("cup", "1"))
		h.wantOrders("16 of cup for 40", h.ruleChanged("cup"), h.ruleChanged("cup"))
	})
	t.Run("the shop's day counts", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.exec(`UPDATE location SET timezone = 'Pacific/Auckland' WHERE tenant_id = $1`) // 13 hours ahead: 10:00 UTC is 23:00
		h.rule("cup", point10, "order_up_to=40")
		order := h.wantOrders("35 of cup for 87.5", h.counted("cup", "5"))[0].PurchaseOrderID
		h.wantOrders("", h.cancelled(order), h.sold("cup", "1"))
		h.day = h.day.Add(2 * 60 * 60 * 1e9)
		h.wantOrders("37 of cup for 92.5", h.sold("cup", "1"))
	})
	t.Run("an old event does not bring it back", func(t *testing.T) {
		t.Parallel()
		h, _ := reject(t)
		old := h.sold("cup", "1")
		h.day = h.day.AddDate(0, 0, 2)
		h.wantOrders("37 of cup for 92.5", h.sold("cup", "1"))
		h.wantOrders("", old)
	})
	t.Run("its goods come all the same", func(t *testing.T) {
		t.Parallel()
		h, order := reject(t)
		h.wantOrders("", h.received("cup", "35", order))
		h.wantLine(order, "35 of 35")
		h.wantOnOrder("cup", "0")
		h.day = h.day.AddDate(0, 0, 1)
		h.wantOrders("", h.sold("cup", "1"))
	})
	t.Run("after a part of it has come", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", point10, "order_up_to=40")
		order := h.wantOrders("40 of cup for 100", h.counted("cup", "0"))[0].PurchaseOrderID
		h.wantOrders("", h.received("cup", "5", order), h.cancelled(order))
		h.wantLine(order, "5 of 40")
		h.wantOnOrder("cup", "0")
	})
	t.Run("after all of it has come nothing is held", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", point10, "order_up_to=40")
		order := h.wantOrders("40 of cup for 100", h.counted("cup", "0"))[0].PurchaseOrderID
		h.wantOrders("", h.received("cup", "40", order), h.cancelled(order))
		h.wantOrders("30 of cup for 75", h.sold("cup", "30"))
	})
	t.Run("one of two", func(t *testing.T) {
		t.Parallel()
		h, first, _ := short(t, w)
		h.wantOrders("", h.cancelled(first))
		h.wantOnOrder("cup", "31")
	})
}

// Of a closed order nothing more is on order, and what is short is ordered anew at once; what comes all the same is
// stock.
func TestAClosedOrder(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	h := w.tenant(t)
	h.rule("cup", point10, "order_up_to=40")
	order := h.wantOrders("40 of cup for 100", h.counted("cup", "0"))[0].PurchaseOrderID
	h.wantOrders("", h.received("cup", "8", order))
	again := h.wantOrders("32 of cup for 80", h.closed(order))[0].PurchaseOrderID
	h.wantLine(order, "8 of 40")
	h.wantOnOrder("cup", "32")
	h.wantOrders("", h.closed(order), h.received("cup", "5", order))
	h.wantLine(order, "13 of 40")
	h.wantOnOrder("cup", "32")
	h.wantOrders("", h.received("cup", "32", again), h.closed(again), h.closed("unknown"))
	h.wantOnOrder("cup", "0")
	if got := h.text(`SELECT string_agg(kind || ' ' || trim_scale(change), ', ' ORDER BY ordinal) FROM on_order_booking WHERE tenant_id = $1`); got != "ORDERED 40, RECEIVED -8, CLOSED -32, ORDERED 32, RECEIVED 0, RECEIVED -32" {
		t.Errorf("booked: %s", got)
	}
}

func TestAnAutoRule(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	auto := []string{"mode='auto'", "cover_days=10", "service_level=0.95"}
	// Lead time 4 days: 4·5 + 1.6449·3·√4 = 29.869; ten days more: 79.869.
	week := []string{"5", "5", "5", "5", "5", "5", "5"}
	t.Run("waits for its forecast", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", auto...)
		h.wantOrders("", h.counted("cup", "20"), h.sold("cup", "1"))
		h.wantOrders("61 of cup for 152.5", h.forecast("cup", "2024-03-02", "3", week...))
		h.wantOrders("", h.forecast("cup", "2024-03-01", "3", "50", "50"), h.sold("cup", "1"))
	})
	t.Run("the newest forecast counts", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", auto...)
		h.handle(h.counted("cup", "100"))
		h.wantOrders("", h.forecast("cup", "2024-03-09", "3", week...))
		h.wantOrders("", h.forecast("cup", "2024-03-02", "3", "500", "500"))
		h.wantOrders("", h.sold("cup", "70"))
		h.wantOrders("51 of cup for 127.5", h.sold("cup", "1"))
	})
	t.Run("a rule becomes auto", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", point10, "order_up_to=40")
		h.wantOrders("", h.counted("cup", "20"), h.forecast("cup", "2024-03-02", "3", week...))
		h.rule("cup", append(auto, "order_up_to=NULL")...)
		h.wantOrders("60 of cup for 150", h.ruleChanged("cup"))
	})
	t.Run("a rule is made auto, and a sale comes before the word of it", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", "reorder_point=90", "order_up_to=100")
		h.wantOrders("", h.counted("cup", "91"), h.forecast("cup", "2024-03-02", "3", week...))
		h.rule("cup", append(auto, "reorder_point=NULL", "order_up_to=NULL")...)
		h.wantOrders("", h.sold("cup", "61"))
		h.wantOrders("51 of cup for 127.5", h.sold("cup", "1"))
		h.wantOrders("", h.ruleChanged("cup"))
	})
	t.Run("there was no rule", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.wantOrders("", h.counted("cup", "20"), h.forecast("cup", "2024-03-02", "3", week...))
		h.rule("cup", auto...)
		h.wantOrders("60 of cup for 150", h.ruleChanged("cup"))
	})
	t.Run("it orders what it is told to", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", append(auto, "order_quantity=100")...)
		h.handle(h.counted("cup", "20"))
		h.wantOrders("100 of cup for 250", h.forecast("cup", "2024-03-02", "3", week...))
	})
	t.Run("the supplier has become slower", func(t *testing.T) {
		t.Parallel()
		h := w.tenant(t)
		h.rule("cup", auto...)
		h.handle(h.counted("cup", "40"), h.forecast("cup", "2024-03-02", "0", week...))
		h.exec(`UPDATE supplier SET lead_time_days = 8 WHERE tenant_id = $1`)
		h.wantOrders("", h.sold("cup", "1"))
		h.wantOrders("51 of cup for 127.5", h.ruleChanged("cup"))
	})
}
