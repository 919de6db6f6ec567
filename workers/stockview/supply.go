package stockview

import (
	"context"
	"maps"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/stockview"
)

func (n *news) order(e *event.Any, id string, change func(o *stockview.OrderUpdate)) {
	key := purchasing.OrderKey{Tenant: e.TenantID, Order: id}
	o := n.orders[key]
	o.OrderKey = key
	change(&o)
	n.orders[key] = o
}

func (n *news) created(e *event.Any, p event.PurchaseOrderCreated) {
	n.order(e, p.PurchaseOrderID, func(o *stockview.OrderUpdate) {
		o.Creation = &stockview.OrderCreation{
			Number: p.PONumber, Supplier: p.SupplierID, Location: p.LocationID, At: e.Timestamp, Seq: e.LogSeq, Lines: p.Lines,
		}
	})
}

// supply works out what is on order at the positions of the batch's orders and receipts.
func (n *news) supply(ctx context.Context, tx store.Tx) error {
	touched := n.receipts
	if len(n.orders) > 0 {
		if err := stockview.NoteOrders(ctx, tx, slices.Collect(maps.Values(n.orders))); err != nil {
			return err
		}
		var changed []purchasing.OrderKey
		for key, o := range n.orders {
			if o.Creation != nil || o.CancelledAt != nil || o.Triggers != nil { // an approval changes no quantity
				changed = append(changed, key)
			}
		}
		var positions []masterdata.PositionKey
		if len(changed) > 0 {
			var err error
			if positions, err = stockview.OrderedPositions(ctx, tx, changed); err != nil {
				return err
			}
		}
		for _, p := range positions {
			if _, ok := touched[p]; !ok {
				touched[p] = nil
			}
		}
	}
	if len(touched) == 0 {
		return nil
	}
	supplies, err := stockview.Supplies(ctx, tx, touched)
	if err != nil {
		return err
	}
	for _, s := range supplies {
		allot(s)
	}
	return stockview.WriteSupplies(ctx, tx, supplies)
}

// allot works out what has come for each line, receipt by receipt in log order: a
// receipt that names its order is for that order's line, too much of it included;
// one of an order that has no line here is for none. One that names none is for
// the lines that were open then, the oldest first, as far as they go. It is what
// replenishment does as the events arrive there.
func allot(s *stockview.Supply) {
	for _, l := range s.Lines {
		l.Received = event.Decimal{}
	}
	for _, r := range s.Receipts {
		left := r.Quantity
		for _, l := range s.Lines {
			switch {
			case !left.IsPositive():
			case r.Order == l.Order:
				l.Received, left = l.Received.Add(left), event.Decimal{}
			case r.Order == "" && wasOpen(l, r):
				part := least(left, l.Ordered.Sub(l.Received))
				l.Received, left = l.Received.Add(part), left.Sub(part)
			}
		}
	}
}

// wasOpen tells whether the line was waiting for goods when they came. An order
// stands in the log some way behind the movement that it was made for, and a
// receipt may stand between the two: it came when the order was there already.
// So what the rule had seen of the position decides, where that is known.
func wasOpen(l *stockview.SupplyLine, r stockview.SupplyReceipt) bool {
	ordered := l.CreatedAt <= r.Seq
	if l.Sequence > 0 && r.Sequence > 0 {
		ordered = l.Sequence < r.Sequence
	}
	return ordered && (l.CancelledAt == nil || *l.CancelledAt > r.Seq) && l.Received.LessThan(l.Ordered)
}

func least(a, b event.Decimal) event.Decimal {
	if a.LessThan(b) {
		return a
	}
	return b
}
