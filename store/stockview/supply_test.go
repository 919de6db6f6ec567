package stockview_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/store/storetest"
)

// Two slots handle events of one position at once: the second waits for the first, and then computes with the facts of
// both.
func TestSuppliesAreSerialized(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	key := masterdata.PositionKey{Tenant: "shop", Item: "i", Location: "S"}
	receipt := func(seq int64) map[masterdata.PositionKey][]stockview.SupplyReceipt {
		return map[masterdata.PositionKey][]stockview.SupplyReceipt{key: {{EventID: uuid.New(), Seq: seq, Quantity: event.NewDecimal(seq)}}}
	}
	storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error { // the position is known already
		_, err := stockview.Supplies(t.Context(), tx, receipt(3))
		return err
	}))
	one, two := p.OpenTx(), p.OpenTx()
	first, err := stockview.Supplies(t.Context(), one, receipt(2))
	storetest.Must(t, err)
	if len(first) != 1 || len(first[0].Receipts) != 2 {
		t.Fatalf("the first knows %+v", first)
	}
	second := make(chan []*stockview.Supply, 1)
	go func() {
		defer close(second)
		if s, err := stockview.Supplies(t.Context(), two, receipt(1)); err != nil {
			t.Error(err)
		} else {
			second <- s
		}
	}()
	p.AwaitLockWaiters(1)
	storetest.Must(t, one.Commit())
	s := <-second
	if len(s) != 1 || len(s[0].Receipts) != 3 || s[0].Receipts[0].Seq != 1 {
		t.Errorf("the second knows %+v", s)
	}
}

// An order's approval or cancellation that arrives while its creation is written waits for it, and then finds its
// lines.
func TestOrderFactsAreSerialized(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	order := purchasing.OrderKey{Tenant: "shop", Order: "po-1"}
	one, two := p.OpenTx(), p.OpenTx()
	storetest.Must(t, stockview.NoteOrders(t.Context(), one, []stockview.OrderUpdate{{OrderKey: order, Creation: &stockview.OrderCreation{
		Number: "PO-1", Supplier: "s", Location: "S", Seq: 1, Lines: []event.PurchaseOrderLine{{ItemID: "i", Quantity: event.NewDecimal(3)}},
	}}}))
	found := make(chan []masterdata.PositionKey, 1)
	go func() {
		defer close(found)
		at := int64(2)
		if err := stockview.NoteOrders(t.Context(), two, []stockview.OrderUpdate{{OrderKey: order, CancelledAt: &at}}); err != nil {
			t.Error(err)
			return
		}
		positions, err := stockview.OrderedPositions(t.Context(), two, []purchasing.OrderKey{order})
		if err != nil {
			t.Error(err)
		}
		found <- positions
	}()
	p.AwaitLockWaiters(1)
	storetest.Must(t, one.Commit())
	if positions := <-found; len(positions) != 1 || positions[0].Item != "i" {
		t.Errorf("the cancellation finds lines at %v", positions)
	}
}
