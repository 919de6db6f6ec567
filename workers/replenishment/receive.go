package replenishment

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
)

// receive counts what has come off what is on order: off the order it names, or
// else off the oldest open lines, as many as it takes. What comes for a closed
// line is noted there and changes nothing; so is what comes beyond the line's
// quantity. What names an order that has no line here changes nothing at all.
//
// A receipt that comes late may be older than a line: the rule had seen those
// goods on hand when it asked for it, so they are not what it awaits.
func (b *batch) receive(p *position, e *event.Any, payload event.InventoryUpdated) {
	if payload.PurchaseOrderID != "" {
		i := slices.IndexFunc(p.lines, func(l *purchasing.OrderLine) bool { return l.Order == payload.PurchaseOrderID })
		if i >= 0 {
			b.deliver(p, e, p.lines[i], payload.Change)
		}
		return
	}
	left := payload.Change
	for _, l := range p.lines {
		if !l.Open || !left.IsPositive() || l.Sequence >= e.Metadata.Sequence {
			continue
		}
		part := least(left, l.Rest())
		b.deliver(p, e, l, part)
		left = left.Sub(part)
	}
}

// deliver books a delivery for a line.
func (b *batch) deliver(p *position, e *event.Any, l *purchasing.OrderLine, quantity event.Decimal) {
	taken := least(quantity, l.Rest())
	l.Received = l.Received.Add(quantity)
	l.Open = l.Open && l.Received.LessThan(l.Quantity)
	b.changed[l] = p.Replenishment
	b.book(p, e.Envelope, purchasing.OnOrderBooking{Kind: purchasing.BookedReceived, Order: l.Order, Quantity: quantity, Change: taken.Neg()})
}

// cancel takes the rest of an order off what is on order, and holds the need.
// A position that has received everything needs no hold; a second cancellation changes nothing.
func (b *batch) cancel(ctx context.Context, e *event.Any, payload event.PurchaseOrderCancelled) error {
	order := purchasing.OrderKey{Tenant: e.TenantID, Order: payload.PurchaseOrderID}
	if !slices.ContainsFunc(b.cancelled, func(c purchasing.CancelledOrder) bool { return c.OrderKey == order }) {
		b.cancelled = append(b.cancelled, purchasing.CancelledOrder{OrderKey: order, By: cmp.Or(payload.CancelledBy, e.Metadata.Source), Reason: payload.Reason, At: e.Timestamp})
	}
	return b.end(order, e, purchasing.BookedCancelled, func(p *position) error {
		day, err := b.date(ctx, p, e.Timestamp)
		if err != nil {
			return err
		}
		p.HeldOn, p.HeldVersion = max(p.HeldOn, day), p.RuleVersion
		return b.consider(ctx, p, e.Envelope)
	})
}

// closeOrder takes the rest of an order off what is on order, and orders anew what is then short.
func (b *batch) closeOrder(ctx context.Context, e *event.Any, payload event.PurchaseOrderClosed) error {
	order := purchasing.OrderKey{Tenant: e.TenantID, Order: payload.PurchaseOrderID}
	return b.end(order, e, purchasing.BookedClosed, func(p *position) error { return b.consider(ctx, p, e.Envelope) })
}

// end closes the open lines of an order, and then does what is to be done about each of their positions.
func (b *batch) end(order purchasing.OrderKey, e *event.Any, kind string, then func(*position) error) error {
	for _, k := range b.ordered[order] {
		p := b.positions[k]
		i := slices.IndexFunc(p.lines, func(l *purchasing.OrderLine) bool { return l.OrderKey == order && l.Open })
		if i < 0 {
			continue
		}
		rest := p.lines[i].Rest()
		p.lines[i].Open = false
		b.changed[p.lines[i]] = p.Replenishment
		b.book(p, e.Envelope, purchasing.OnOrderBooking{Kind: kind, Order: order.Order, Quantity: rest, Change: rest.Neg()})
		if err := then(p); err != nil {
			return err
		}
	}
	return nil
}

// book changes what is on order at a position.
func (b *batch) book(p *position, cause event.Envelope, booking purchasing.OnOrderBooking) {
	p.Bookings++
	p.OnOrder = p.OnOrder.Add(booking.Change)
	p.planned = true
	booking.Position, booking.Ordinal, booking.OnOrder = p.Replenishment, p.Bookings, p.OnOrder
	booking.EventID, booking.OccurredAt = cause.ID, cause.Timestamp
	b.bookings = append(b.bookings, booking)
}

// date is the calendar day of a moment at the position's location.
func (b *batch) date(ctx context.Context, p *position, at time.Time) (event.Date, error) {
	place := masterdata.LocationKey{Tenant: p.Tenant, Location: p.Location}
	zones, err := masterdata.Zones(ctx, b.tx, []masterdata.LocationKey{place})
	if err != nil {
		return "", err
	}
	return masterdata.BusinessDate(at, zones[place]), nil
}

func least(a, b event.Decimal) event.Decimal {
	if b.LessThan(a) {
		return b
	}
	return a
}
