package store_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
)

// Two slots hear of one position at once: the second waits for the first, and
// then works with what both have heard.
func TestSuppliesAreWorkedOutOneAfterTheOther(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	key := store.PositionKey{Tenant: "shop", Item: "i", Location: "S"}
	receipt := func(seq int64) map[store.PositionKey][]store.SupplyReceipt {
		return map[store.PositionKey][]store.SupplyReceipt{key: {{EventID: uuid.New(), Seq: seq, Quantity: event.NewDecimal(seq)}}}
	}
	must(t, p.InTx(t.Context(), func(tx store.Tx) error { // the position is known already
		_, err := tx.Supplies(t.Context(), receipt(3))
		return err
	}))
	one, two := p.begin(), p.begin()
	first, err := one.Supplies(t.Context(), receipt(2))
	must(t, err)
	if len(first) != 1 || len(first[0].Receipts) != 2 {
		t.Fatalf("the first knows %+v", first)
	}
	second := make(chan []*store.Supply, 1)
	go func() {
		defer close(second)
		if s, err := two.Supplies(t.Context(), receipt(1)); err != nil {
			t.Error(err)
		} else {
			second <- s
		}
	}()
	p.waitsForLock(1)
	must(t, one.Commit())
	s := <-second
	if len(s) != 1 || len(s[0].Receipts) != 3 || s[0].Receipts[0].Seq != 1 {
		t.Errorf("the second knows %+v", s)
	}
}

// An order's approval or cancellation that comes while its creation is written
// waits for it, and finds its lines then.
func TestOrdersAreNotedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	order := store.OrderKey{Tenant: "shop", Order: "po-1"}
	one, two := p.begin(), p.begin()
	must(t, one.NoteOrders(t.Context(), []store.OrderNews{{OrderKey: order, Creation: &store.OrderCreation{
		Number: "PO-1", Supplier: "s", Location: "S", Seq: 1, Lines: []event.PurchaseOrderLine{{ItemID: "i", Quantity: event.NewDecimal(3)}},
	}}}))
	found := make(chan []store.PositionKey, 1)
	go func() {
		defer close(found)
		at := int64(2)
		if err := two.NoteOrders(t.Context(), []store.OrderNews{{OrderKey: order, CancelledAt: &at}}); err != nil {
			t.Error(err)
			return
		}
		positions, err := two.OrderedPositions(t.Context(), []store.OrderKey{order})
		if err != nil {
			t.Error(err)
		}
		found <- positions
	}()
	p.waitsForLock(1)
	must(t, one.Commit())
	if positions := <-found; len(positions) != 1 || positions[0].Item != "i" {
		t.Errorf("the cancellation finds lines at %v", positions)
	}
}
