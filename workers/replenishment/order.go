package replenishment

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
)

// newOrder is an order that this batch makes, the event that asked, and the
// series its number is from.
type newOrder struct {
	purchasing.NewOrder
	cause  event.Envelope
	series purchasing.NumberKey
}

// consider orders for the position if it is at or below its reorder point and
// nothing holds it back. What is history orders nothing: the next event that is
// none considers what history has left.
func (b *batch) consider(ctx context.Context, p *position, cause event.Envelope) error {
	if cause.Metadata.History || p.plan == nil || p.ReorderPoint == nil || p.Sequence == 0 || !p.StockKnown {
		return nil
	}
	if p.position().Cmp(*p.ReorderPoint) > 0 {
		return nil
	}
	if p.HeldOn != "" {
		today, err := b.date(ctx, p, p.LatestAt)
		if err != nil {
			return err
		}
		if p.HeldVersion == p.RuleVersion && today <= p.HeldOn {
			return nil
		}
		p.HeldOn, p.HeldVersion, p.planned = "", 0, true
	}
	return b.make(ctx, p, cause)
}

// make makes the order; place gives it its number and emits it.
func (b *batch) make(ctx context.Context, p *position, cause event.Envelope) error {
	today, err := b.date(ctx, p, cause.Timestamp)
	if err != nil {
		return err
	}
	year, err := strconv.Atoi(string(today[:4]))
	if err != nil {
		return fmt.Errorf("reading the year of %s: %w", today, err)
	}
	quantity := Quantity(*p.plan, p.position(), *p.ReorderPoint)
	line := &purchasing.OrderLine{
		OrderKey: purchasing.OrderKey{Tenant: p.Tenant, Order: orderID(cause.ID, p.PositionKey)},
		Quantity: quantity, Open: true, Ordinal: p.Bookings + 1, Sequence: p.Sequence,
	}
	o := &newOrder{cause: cause, series: purchasing.NumberKey{Tenant: p.Tenant, Year: year}, NewOrder: purchasing.NewOrder{
		Line: line, Position: p.Replenishment, Supplier: p.plan.Supplier, UnitPrice: p.plan.UnitCost, Currency: p.plan.Currency,
		CorrelationID: cmp.Or(cause.Metadata.CorrelationID, cause.ID.String()), CreatedAt: cause.Timestamp,
		RuleVersion: p.RuleVersion, Sequence: p.Sequence, Available: p.Available(), OnOrder: p.OnOrder, InTransit: p.plan.InTransit, ReorderPoint: *p.ReorderPoint,
	}}
	if o.UnitPrice != nil {
		o.Total = event.Decimal{Decimal: quantity.Mul(*o.UnitPrice).Round(6)}
		if _, err := o.Total.MarshalJSON(); err != nil {
			o.UnitPrice, o.Total = nil, event.Decimal{} // no event can carry that total: a person must decide
		}
	}
	b.orders = append(b.orders, o)
	p.lines = append(p.lines, line)
	b.book(p, cause, purchasing.OnOrderBooking{Kind: purchasing.BookedOrdered, Order: line.Order, Quantity: quantity, Change: quantity})
	return nil
}

// place gives the new orders their numbers, emits their events, and writes them.
func (b *batch) place(ctx context.Context) error {
	if len(b.orders) == 0 {
		return nil
	}
	wanted := map[purchasing.NumberKey]int{}
	for _, o := range b.orders {
		wanted[o.series]++
	}
	next, err := purchasing.DrawOrderNumbers(ctx, b.tx, wanted)
	if err != nil {
		return err
	}
	rows := make([]*purchasing.NewOrder, len(b.orders))
	for i, o := range b.orders {
		o.Number = fmt.Sprintf("PO-%d-%06d", o.series.Year, next[o.series])
		next[o.series]++
		if err := b.emit(o); err != nil {
			return fmt.Errorf("ordering %s for %s: %w", o.Position.Item, o.Position.Location, err)
		}
		rows[i] = &o.NewOrder
		delete(b.changed, o.Line) // it is written here, as it is by now
	}
	return purchasing.CreateOrders(ctx, b.tx, rows)
}

func (b *batch) emit(o *newOrder) error {
	at := o.Position.PositionKey
	rule := masterdata.RuleID(at)
	// The sequence tells what the rule had seen: a consumer knows which receipts came before the order.
	err := b.tx.For(o.cause).Emit(rule, o.Sequence, event.ReplenishmentTriggered{
		RuleID: rule, ItemID: at.Item, LocationID: at.Location, Available: o.Available, OnOrder: o.OnOrder, InTransit: o.InTransit, ReorderPoint: o.ReorderPoint,
		Quantity: o.Line.Quantity, SupplierID: o.Supplier, PurchaseOrderID: o.Line.Order,
	})
	if err != nil {
		return err
	}
	return b.tx.For(o.cause).Emit(o.Line.Order, 1, event.PurchaseOrderCreated{
		PurchaseOrderID: o.Line.Order, PONumber: o.Number, SupplierID: o.Supplier, LocationID: at.Location,
		TotalAmount: o.Total, Currency: o.Currency, Status: event.PurchaseOrderPending,
		Lines: []event.PurchaseOrderLine{{ItemID: at.Item, Quantity: o.Line.Quantity, UnitPrice: o.UnitPrice}},
	})
}

// orderSpace is the UUID namespace of orders (RFC 9562, 5.5).
var orderSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/purchase-order"))

// orderID is the id of the order that an event causes at a position: the same
// event asks for the same order.
func orderID(cause uuid.UUID, at masterdata.PositionKey) string {
	return uuid.NewSHA1(orderSpace, []byte(cause.String()+"\x00"+at.Tenant+"\x00"+at.Item+"\x00"+at.Location)).String()
}
