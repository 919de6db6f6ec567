package replenishment_test

import (
	"testing"

	"github.com/composerp/composerp/exchange/event"
)

// What is on its way counts, from the event that tells of it on: in one batch and in several.
func TestGoodsInTransitAreNotBoughtAgain(t *testing.T) {
	t.Parallel()
	w := newEnv(t)
	for name, c := range map[string]struct {
		history func(h *tenant) []event.Any
		orders  string
	}{
		"enough is on its way": {func(h *tenant) []event.Any {
			return []event.Any{h.dispatched("cup", "30", "t1", "shop"), h.sold("cup", "15")}
		}, ""},
		"too little is": {func(h *tenant) []event.Any {
			return []event.Any{h.dispatched("cup", "4", "t1", "shop"), h.sold("cup", "15")}
		}, "31 of cup for 77.5"},
		"it is for another location": {func(h *tenant) []event.Any {
			return []event.Any{h.dispatched("cup", "30", "t1", "yard"), h.sold("cup", "15")}
		}, "35 of cup for 87.5"},
		"it is another item": {func(h *tenant) []event.Any {
			return []event.Any{h.dispatched("jug", "30", "t1", "shop"), h.sold("cup", "15")}
		}, "35 of cup for 87.5"},
		"it has arrived": {func(h *tenant) []event.Any {
			return []event.Any{h.dispatched("cup", "30", "t1", "shop"), h.arrived("cup", "30", "t1"), h.sold("cup", "35")}
		}, ""},
		"it has arrived and is sold": {func(h *tenant) []event.Any {
			return []event.Any{h.dispatched("cup", "30", "t1", "shop"), h.arrived("cup", "30", "t1"), h.sold("cup", "40")}
		}, "30 of cup for 75"},
		"a part has arrived": {func(h *tenant) []event.Any {
			return []event.Any{h.dispatched("cup", "30", "t1", "shop"), h.arrived("cup", "10", "t1"), h.sold("cup", "25")}
		}, ""},
		"it has arrived before it was known": {func(h *tenant) []event.Any {
			return []event.Any{h.arrived("cup", "30", "t1"), h.dispatched("cup", "30", "t1", "shop"), h.sold("cup", "45")}
		}, "35 of cup for 87.5"},
		"it has arrived elsewhere": {func(h *tenant) []event.Any {
			return []event.Any{h.dispatched("cup", "30", "t1", "shop"), h.strayed("cup", "30", "t1"), h.sold("cup", "15")}
		}, "35 of cup for 87.5"},
		"more has arrived than was sent": {func(h *tenant) []event.Any {
			return []event.Any{h.dispatched("cup", "30", "t1", "shop"), h.arrived("cup", "33", "t1"), h.dispatched("cup", "2", "t2", "shop"), h.sold("cup", "50")}
		}, "35 of cup for 87.5"},
		"an older version names no transfer": {func(h *tenant) []event.Any {
			return []event.Any{h.dispatched("cup", "30", "", ""), h.arrived("cup", "30", ""), h.sold("cup", "45")}
		}, "35 of cup for 87.5"},
	} {
		for _, alone := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				h := w.tenant(t)
				h.rule("cup", point10, "order_up_to=40")
				h.handle(h.counted("cup", "20"))
				events := c.history(h)
				var orders []event.PurchaseOrderCreated
				if alone {
					for _, e := range events {
						orders = append(orders, h.handle(e)...)
					}
				} else {
					orders = h.handle(events...)
				}
				if got := ordered(orders); got != c.orders {
					t.Errorf("each alone %t: want ordered %q, got %q", alone, c.orders, got)
				}
				h.balances()
			})
		}
	}
}
