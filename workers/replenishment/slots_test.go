package replenishment_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/replenishment"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// slots lets several processes handle the batches at once, and gives the orders they made. None may deadlock: an
// error of any kind fails the test.
func (h *tenant) slots(n int, batches [][]event.Any) (orders []event.PurchaseOrderCreated) {
	h.Helper()
	work := make(chan []event.Any, len(batches))
	for _, b := range batches {
		work <- b
	}
	close(work)
	var mu sync.Mutex
	run := make([]func(context.Context) error, n)
	for i := range run {
		process := replenishment.New()
		run[i] = func(context.Context) error {
			for batch := range work {
				said, err := workertest.Handle(h, h.DB, process, batch...)
				if err != nil {
					return err
				}
				mu.Lock()
				orders = append(orders, ordersOf(h, said)...)
				mu.Unlock()
			}
			return nil
		}
	}
	storetest.Concurrently(h, run...)
	return orders
}

// Twenty ask about the same need, each of them twice, in four slots at once.
func TestFourSlotsOneNeed(t *testing.T) {
	t.Parallel()
	h := newTenant(t)
	h.rule("cup", "reorder_point=100", "order_up_to=400")
	h.handle(h.counted("cup", "140"))
	var batches [][]event.Any
	for i := range 20 {
		e := h.sold("cup", "1")
		if i%4 == 0 {
			e = h.lowStock("cup")
		}
		batches = append(batches, []event.Any{e}, []event.Any{e, h.ruleChanged("cup")})
	}
	h.handle(h.sold("cup", "30")) // now there is a need, and the events above are old
	orders := h.slots(4, batches)
	if len(orders) > 0 {
		t.Errorf("want the need met by the first order, got %s more", ordered(orders))
	}
	if got := h.text(`SELECT count(*)::text FROM purchase_order WHERE tenant_id = $1`); got != "1" {
		t.Errorf("want one order, got %s", got)
	}
	h.balances()
	// And now all slots see the need first at once.
	h.rule("jug", "reorder_point=100", "order_up_to=400")
	batches = nil
	for range 16 {
		batches = append(batches, []event.Any{h.counted("jug", "50"), h.lowStock("jug")})
	}
	if orders := h.slots(4, batches); ordered(orders) != "350 of jug for 875" {
		t.Errorf("want one order, got %s", ordered(orders))
	}
	h.balances()
}

// A busy shop in four slots: events in any order, many twice, positions seen for the first time by all at once; goods
// and cancellations for what was ordered in the round before.
func TestFourSlotsKeepTheBooks(t *testing.T) {
	t.Parallel()
	const rounds, items = 4, 10
	h := newTenant(t)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range items {
		h.rule(fmt.Sprintf("item-%d", i), "reorder_point=20", "order_up_to=60")
	}
	counted := func(item string) event.Any { return h.moved(item, "0", event.TransactionCount) }
	var open []event.PurchaseOrderCreated
	made := 0
	for range rounds {
		var events []event.Any
		for range 16 * items {
			events = append(events, h.sold(fmt.Sprintf("item-%d", random.IntN(items)), fmt.Sprint(1+random.IntN(5))))
		}
		for i := range items {
			events = append(events, counted(fmt.Sprintf("item-%d", i)))
		}
		for _, o := range open {
			l := o.Lines[0]
			switch random.IntN(4) {
			case 0:
				events = append(events, h.cancelled(o.PurchaseOrderID))
			case 1:
				events = append(events, h.received(l.ItemID, l.Quantity.String(), ""))
			default:
				events = append(events, h.received(l.ItemID, l.Quantity.String(), o.PurchaseOrderID))
			}
		}
		events = append(events, events[:len(events)/3]...)
		random.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		open = h.slots(4, slices.Collect(slices.Chunk(events, 17)))
		made += len(open)
		h.day = h.day.AddDate(0, 0, 1)
		h.balances()
	}
	if made < 2*items {
		t.Errorf("only %d orders were made", made)
	}
	for item, onHand := range h.stock {
		got := h.text(`SELECT trim_scale(on_hand) || ' of ' || sequence FROM replenishment_state WHERE tenant_id = $1 AND item_id = $2`, item)
		if want := fmt.Sprintf("%s of %d", onHand, h.seq[item]); got != want {
			t.Errorf("%s: want %s, got %s", item, want, got)
		}
	}
	if left := h.text(`SELECT count(*)::text FROM replenishment_state WHERE tenant_id = $1 AND on_hand + on_order <= 20 AND held_on IS NULL`); left != "0" {
		t.Errorf("%s needs were not met", left)
	}
}
