package replenishment

import (
	"context"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/worker"
)

// batch is one batch's work on locked positions: they change in memory, in
// arrival order, and are written once, at the end.
type batch struct {
	tx        *worker.Tx
	positions map[masterdata.PositionKey]*position
	order     []*position                                      // in the order of their first event
	ordered   map[purchasing.OrderKey][]masterdata.PositionKey // where the cancelled and closed orders have lines

	changed   map[*purchasing.OrderLine]*planning.Replenishment // lines that are there and must be written
	transit   transit
	orders    []*newOrder
	bookings  []purchasing.OnOrderBooking
	cancelled []purchasing.CancelledOrder
}

func (b *batch) at(tenant, item, location string) *position {
	return b.positions[masterdata.PositionKey{Tenant: tenant, Item: item, Location: location}]
}

// open locks the positions that the events are about and reads what deciding
// about them may take: a rule only where it may be needed, lines only where
// something is received, cancelled or closed.
func (b *batch) open(ctx context.Context, known *planning.Replenishments, events []event.Any) error {
	keys := make([]masterdata.PositionKey, 0, len(events))
	var ended []purchasing.OrderKey
	for i := range events {
		switch payload := events[i].Payload.(type) {
		case event.InventoryUpdated:
			keys = append(keys, masterdata.PositionKey{Tenant: events[i].TenantID, Item: payload.ItemID, Location: payload.LocationID})
		case event.InventoryLowStock:
			keys = append(keys, masterdata.PositionKey{Tenant: events[i].TenantID, Item: payload.ItemID, Location: payload.LocationID})
		case event.ForecastGenerated:
			keys = append(keys, masterdata.PositionKey{Tenant: events[i].TenantID, Item: payload.ItemID, Location: payload.LocationID})
		case event.RuleChanged:
			keys = append(keys, masterdata.PositionKey{Tenant: events[i].TenantID, Item: payload.ItemID, Location: payload.LocationID})
		case event.PurchaseOrderCancelled:
			ended = append(ended, purchasing.OrderKey{Tenant: events[i].TenantID, Order: payload.PurchaseOrderID})
		case event.PurchaseOrderClosed:
			ended = append(ended, purchasing.OrderKey{Tenant: events[i].TenantID, Order: payload.PurchaseOrderID})
		}
	}
	if len(ended) > 0 {
		var err error
		if b.ordered, err = purchasing.OrderPositions(ctx, b.tx, ended); err != nil {
			return err
		}
		for _, at := range b.ordered {
			keys = append(keys, at...)
		}
	}
	locked, err := known.Lock(ctx, b.tx, keys)
	if err != nil {
		return err
	}
	b.positions = make(map[masterdata.PositionKey]*position, len(locked))
	b.order = make([]*position, 0, len(locked))
	for _, k := range keys {
		if b.positions[k] == nil {
			p := &position{Replenishment: locked[k]}
			b.positions[k] = p
			b.order = append(b.order, p)
		}
	}
	b.foresee(events)
	if err := b.readPlans(ctx); err != nil {
		return err
	}
	if err := b.readTransfers(ctx, events); err != nil {
		return err
	}
	return b.readLines(ctx)
}

func (b *batch) foresee(events []event.Any) {
	for i := range events {
		switch payload := events[i].Payload.(type) {
		case event.InventoryUpdated:
			b.at(events[i].TenantID, payload.ItemID, payload.LocationID).foresee(payload)
		case event.ForecastGenerated:
			b.at(events[i].TenantID, payload.ItemID, payload.LocationID).ahead.asked = true
		case event.RuleChanged:
			b.at(events[i].TenantID, payload.ItemID, payload.LocationID).ahead.asked = true
		case event.PurchaseOrderCancelled:
			b.ends(purchasing.OrderKey{Tenant: events[i].TenantID, Order: payload.PurchaseOrderID})
		case event.PurchaseOrderClosed:
			b.ends(purchasing.OrderKey{Tenant: events[i].TenantID, Order: payload.PurchaseOrderID})
		}
	}
}

// ends foresees that an order's lines are read.
func (b *batch) ends(order purchasing.OrderKey) {
	for _, k := range b.ordered[order] {
		b.positions[k].ahead.cancels = true
	}
}

func (b *batch) readPlans(ctx context.Context) error {
	var needy []*planning.Replenishment
	for _, p := range b.order {
		if p.mayNeed() {
			needy = append(needy, p.Replenishment)
		}
	}
	if len(needy) == 0 {
		return nil
	}
	plans, err := planning.ReplenishmentPlans(ctx, b.tx, needy)
	if err != nil {
		return err
	}
	for _, p := range b.order {
		if plan := plans[p.Replenishment]; plan != nil {
			p.adopt(plan)
		}
	}
	return nil
}

func (b *batch) readLines(ctx context.Context) error {
	var of []*planning.Replenishment
	named := map[*planning.Replenishment][]string{}
	for _, p := range b.order {
		if p.ahead.cancels || p.ahead.receives && (p.OnOrder.IsPositive() || len(p.ahead.orders) > 0) {
			of = append(of, p.Replenishment)
			named[p.Replenishment] = p.ahead.orders
		}
	}
	if len(of) == 0 {
		return nil
	}
	lines, err := purchasing.OrderLines(ctx, b.tx, of, named)
	if err != nil {
		return err
	}
	for _, p := range b.order {
		p.lines = lines[p.Replenishment]
	}
	return nil
}

// close emits the new orders and writes all that has changed.
func (b *batch) close(ctx context.Context) error {
	if err := b.place(ctx); err != nil {
		return err
	}
	var moved, planned []*planning.Replenishment
	levels := map[*planning.Replenishment]*planning.ReplenishmentPlan{}
	forecasts := map[*planning.Replenishment]event.ForecastGenerated{}
	for _, p := range b.order {
		if p.moved {
			moved = append(moved, p.Replenishment)
		}
		if p.planned {
			planned = append(planned, p.Replenishment)
		}
		if p.levelled {
			levels[p.Replenishment] = p.plan
		}
		if p.forecast != nil {
			forecasts[p.Replenishment] = *p.forecast
		}
	}
	for _, write := range []func() error{
		func() error { return planning.NoteStock(ctx, b.tx, moved) },
		func() error { return planning.NotePlans(ctx, b.tx, planned) },
		func() error { return planning.RememberForecasts(ctx, b.tx, forecasts) },
		func() error { return planning.NoteLevels(ctx, b.tx, levels) },
		func() error { return purchasing.UpdateOrderLines(ctx, b.tx, b.changed) },
		func() error { return purchasing.BookOnOrder(ctx, b.tx, b.bookings) },
		func() error { return planning.NoteTransfers(ctx, b.tx, b.transit.news) },
		func() error { return purchasing.NoteCancelled(ctx, b.tx, b.cancelled) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}
