package store

import (
	"context"
	"fmt"
	"time"
)

var createOrders = SQL(`
WITH made AS (
    INSERT INTO purchase_order (tenant_id, purchase_order_id, po_number, supplier_id, location_id, total_amount, priced, status, correlation_id, created_at)
    SELECT n.tenant_id, n.purchase_order_id, n.po_number, n.supplier_id, n.location_id, n.total, n.unit_price IS NOT NULL, 'PENDING', n.correlation_id, n.created_at
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[], $8::text[], $9::timestamptz[])
         AS n(tenant_id, purchase_order_id, po_number, supplier_id, location_id, total, unit_price, correlation_id, created_at)
)
INSERT INTO purchase_order_line (tenant_id, purchase_order_id, item_id, location_id, quantity, unit_price, received, open, ordinal,
                                 rule_version, sequence, available, on_order, reorder_point)
SELECT n.tenant_id, n.purchase_order_id, n.item_id, n.location_id, n.quantity, n.unit_price, n.received, n.open, n.ordinal,
       n.rule_version, n.sequence, n.available, n.on_order, n.reorder_point
FROM unnest($1::text[], $2::text[], $10::text[], $5::text[], $11::numeric[], $7::numeric[], $12::numeric[], $13::boolean[], $14::bigint[],
            $15::bigint[], $16::bigint[], $17::numeric[], $18::numeric[], $19::numeric[])
     AS n(tenant_id, purchase_order_id, item_id, location_id, quantity, unit_price, received, open, ordinal,
          rule_version, sequence, available, on_order, reorder_point)`)

// CreateOrders writes new orders and their lines, whose positions must be locked
// by this transaction.
func (tx *Transaction) CreateOrders(ctx context.Context, orders []*NewOrder) error {
	if len(orders) == 0 {
		return nil
	}
	n := len(orders)
	keys, ids := make([]PositionKey, n), make([]OrderKey, n)
	numbers, suppliers, correlations := NewTexts(n, 16), NewTexts(n, 16), NewTexts(n, 36)
	totals, prices, created := NewColumn(n, 10), NewColumn(n, 8), NewColumn(n, 28)
	quantities, received, open, ordinals := NewColumn(n, 8), NewColumn(n, 4), NewColumn(n, 5), NewColumn(n, 4)
	versions, sequences, available, onOrder, points := NewColumn(n, 4), NewColumn(n, 6), NewColumn(n, 8), NewColumn(n, 8), NewColumn(n, 8)
	for i, o := range orders {
		keys[i], ids[i] = o.Position.PositionKey, o.Line.OrderKey
		numbers.add(o.Number)
		suppliers.add(o.Supplier)
		correlations.add(o.CorrelationID)
		totals.decimal(o.Total)
		prices.optional(o.UnitPrice)
		created.time(o.CreatedAt)
		quantities.decimal(o.Line.Quantity)
		received.decimal(o.Line.Received)
		open.boolean(o.Line.Open)
		ordinals.integer(o.Line.Ordinal)
		versions.integer(o.RuleVersion)
		sequences.integer(o.Sequence)
		available.decimal(o.Available)
		onOrder.decimal(o.OnOrder)
		points.decimal(o.ReorderPoint)
	}
	_, items, locations := keyColumns(keys)
	tenants, orderIDs := orderColumns(ids)
	if _, err := Exec(ctx, tx, createOrders, tenants, orderIDs, numbers, suppliers, locations, totals, prices, correlations, created,
		items, quantities, received, open, ordinals, versions, sequences, available, onOrder, points); err != nil {
		return fmt.Errorf("writing %d purchase orders: %w", n, err)
	}
	return nil
}

var updateOrderLines = SQL(`
UPDATE purchase_order_line l SET received = n.received, open = n.open
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::boolean[]) AS n(tenant_id, purchase_order_id, item_id, location_id, received, open)
WHERE l.tenant_id = n.tenant_id AND l.purchase_order_id = n.purchase_order_id AND l.item_id = n.item_id AND l.location_id = n.location_id`)

// UpdateOrderLines writes what has come for lines, and whether they are still
// open. Their positions must be locked by this transaction.
func (tx *Transaction) UpdateOrderLines(ctx context.Context, lines map[*OrderLine]*Replenishment) error {
	if len(lines) == 0 {
		return nil
	}
	n := len(lines)
	keys, ids := make([]PositionKey, 0, n), make([]OrderKey, 0, n)
	received, open := NewColumn(n, 8), NewColumn(n, 5)
	for l, p := range lines {
		keys, ids = append(keys, p.PositionKey), append(ids, l.OrderKey)
		received.decimal(l.Received)
		open.boolean(l.Open)
	}
	_, items, locations := keyColumns(keys)
	tenants, orders := orderColumns(ids)
	if _, err := Exec(ctx, tx, updateOrderLines, tenants, orders, items, locations, received, open); err != nil {
		return fmt.Errorf("updating %d order lines: %w", n, err)
	}
	return nil
}

var bookOnOrder = SQL(`
INSERT INTO on_order_booking (state_id, ordinal, kind, tenant_id, purchase_order_id, event_id, quantity, change, on_order, occurred_at)
SELECT state_id, ordinal, kind, tenant_id, purchase_order_id, event_id, quantity, change, on_order, occurred_at
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::numeric[], $8::numeric[], $9::numeric[], $10::timestamptz[])
     AS n(state_id, ordinal, kind, tenant_id, purchase_order_id, event_id, quantity, change, on_order, occurred_at)`)

// BookOnOrder writes bookings of locked positions.
func (tx *Transaction) BookOnOrder(ctx context.Context, bookings []OnOrderBooking) error {
	if len(bookings) == 0 {
		return nil
	}
	n := len(bookings)
	ids, ordinals, kinds, events, occurred := NewColumn(n, 10), NewColumn(n, 4), NewTexts(n, 8), NewColumn(n, 36), NewColumn(n, 28)
	quantities, changes, onOrder, keys := NewColumn(n, 8), NewColumn(n, 8), NewColumn(n, 8), make([]OrderKey, n)
	for i := range bookings {
		b := &bookings[i]
		ids.integer(b.Position.ID)
		ordinals.integer(b.Ordinal)
		kinds.add(b.Kind)
		keys[i] = OrderKey{b.Position.Tenant, b.Order}
		events.uuid(b.EventID)
		quantities.decimal(b.Quantity)
		changes.decimal(b.Change)
		onOrder.decimal(b.OnOrder)
		occurred.time(b.OccurredAt)
	}
	tenants, orders := orderColumns(keys)
	if _, err := Exec(ctx, tx, bookOnOrder, ids, ordinals, kinds, tenants, orders, events, quantities, changes, onOrder, occurred); err != nil {
		return fmt.Errorf("booking %d changes of what is on order: %w", n, err)
	}
	return nil
}

// CancelledOrder is an order that somebody has taken back.
type CancelledOrder struct {
	OrderKey
	By, Reason string
	At         time.Time
}

// In key order, so that two of these cannot deadlock.
var noteCancelled = SQL(`
UPDATE purchase_order o SET status = 'CANCELLED', version = o.version + 1, decided_at = n.at, decided_by = n.by, reason = n.reason
FROM (SELECT n.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) AS n(tenant_id, purchase_order_id, by, reason, at)
      JOIN purchase_order o USING (tenant_id, purchase_order_id) WHERE o.status <> 'CANCELLED'
      ORDER BY o.tenant_id, o.purchase_order_id FOR NO KEY UPDATE OF o) n
WHERE o.tenant_id = n.tenant_id AND o.purchase_order_id = n.purchase_order_id`)

// NoteCancelled sets the status of orders, each given once, that were cancelled
// by others than those who set it themselves: an order already CANCELLED stays as it is.
func (tx *Transaction) NoteCancelled(ctx context.Context, orders []CancelledOrder) error {
	if len(orders) == 0 {
		return nil
	}
	n := len(orders)
	keys, by, reasons, at := make([]OrderKey, n), NewTexts(n, 16), NewTexts(n, 32), NewColumn(n, 28)
	for i, o := range orders {
		keys[i] = o.OrderKey
		by.add(o.By)
		reasons.add(o.Reason)
		at.time(o.At)
	}
	tenants, ids := orderColumns(keys)
	if _, err := Exec(ctx, tx, noteCancelled, tenants, ids, by, reasons, at); err != nil {
		return fmt.Errorf("noting the cancellation of %d orders: %w", n, err)
	}
	return nil
}
