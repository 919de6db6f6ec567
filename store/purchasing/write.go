package purchasing

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/planning"
)

var createOrders = pg.SQL(`
WITH made AS (
    INSERT INTO purchase_order (tenant_id, purchase_order_id, po_number, supplier_id, location_id, total_amount, priced, status, correlation_id, created_at, currency)
    SELECT n.tenant_id, n.purchase_order_id, n.po_number, n.supplier_id, n.location_id, n.total, n.unit_price IS NOT NULL, 'PENDING', n.correlation_id, n.created_at, n.currency
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[], $8::text[], $9::timestamptz[], $21::text[])
         AS n(tenant_id, purchase_order_id, po_number, supplier_id, location_id, total, unit_price, correlation_id, created_at, currency)
)
INSERT INTO purchase_order_line (tenant_id, purchase_order_id, item_id, location_id, quantity, unit_price, received, open, ordinal,
                                 rule_version, sequence, available, on_order, in_transit, reorder_point)
SELECT n.tenant_id, n.purchase_order_id, n.item_id, n.location_id, n.quantity, n.unit_price, n.received, n.open, n.ordinal,
       n.rule_version, n.sequence, n.available, n.on_order, n.in_transit, n.reorder_point
FROM unnest($1::text[], $2::text[], $10::text[], $5::text[], $11::numeric[], $7::numeric[], $12::numeric[], $13::boolean[], $14::bigint[],
            $15::bigint[], $16::bigint[], $17::numeric[], $18::numeric[], $19::numeric[], $20::numeric[])
     AS n(tenant_id, purchase_order_id, item_id, location_id, quantity, unit_price, received, open, ordinal,
          rule_version, sequence, available, on_order, in_transit, reorder_point)`)

// CreateOrders writes new orders and their lines. This transaction must hold the locks of their positions.
func CreateOrders(ctx context.Context, tx store.Tx, orders []*NewOrder) error {
	if len(orders) == 0 {
		return nil
	}
	columns := pg.NewColumns(21, len(orders))
	for _, o := range orders {
		l := o.Line
		columns.Add(l.Tenant, l.Order, o.Number, o.Supplier, o.Position.Location, o.Total, o.UnitPrice, o.CorrelationID, o.CreatedAt,
			o.Position.Item, l.Quantity, l.Received, l.Open, l.Ordinal, o.RuleVersion, o.Sequence, o.Available, o.OnOrder, o.InTransit, o.ReorderPoint, o.Currency)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("writing %d purchase orders", len(orders)), createOrders, columns...)
}

var updateOrderLines = pg.SQL(`
UPDATE purchase_order_line l SET received = n.received, open = n.open
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::boolean[]) AS n(tenant_id, purchase_order_id, item_id, location_id, received, open)
WHERE l.tenant_id = n.tenant_id AND l.purchase_order_id = n.purchase_order_id AND l.item_id = n.item_id AND l.location_id = n.location_id`)

// UpdateOrderLines writes what was received for lines, and whether they are still open. This transaction must hold the
// locks of their positions.
func UpdateOrderLines(ctx context.Context, tx store.Tx, lines map[*OrderLine]*planning.Replenishment) error {
	if len(lines) == 0 {
		return nil
	}
	columns := pg.NewColumns(6, len(lines))
	for l, p := range lines {
		columns.Add(l.Tenant, l.Order, p.Item, p.Location, l.Received, l.Open)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("updating %d order lines", len(lines)), updateOrderLines, columns...)
}

var bookOnOrder = pg.SQL(`
INSERT INTO on_order_booking (state_id, ordinal, kind, tenant_id, purchase_order_id, event_id, quantity, change, on_order, occurred_at)
SELECT state_id, ordinal, kind, tenant_id, purchase_order_id, event_id, quantity, change, on_order, occurred_at
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::numeric[], $8::numeric[], $9::numeric[], $10::timestamptz[])
     AS n(state_id, ordinal, kind, tenant_id, purchase_order_id, event_id, quantity, change, on_order, occurred_at)`)

// BookOnOrder writes bookings of locked positions.
func BookOnOrder(ctx context.Context, tx store.Tx, bookings []OnOrderBooking) error {
	if len(bookings) == 0 {
		return nil
	}
	columns := pg.NewColumns(10, len(bookings))
	for i := range bookings {
		b := &bookings[i]
		columns.Add(b.Position.ID, b.Ordinal, b.Kind, b.Position.Tenant, b.Order, b.EventID, b.Quantity, b.Change, b.OnOrder, b.OccurredAt)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("booking %d changes of on order", len(bookings)), bookOnOrder, columns...)
}

// CancelledOrder is a cancellation of an order.
type CancelledOrder struct {
	OrderKey
	By, Reason string
	At         time.Time
}

// In key order, so that two of these cannot deadlock.
var noteCancelled = pg.SQL(`
UPDATE purchase_order o SET status = 'CANCELLED', version = o.version + 1, decided_at = n.at, decided_by = n.by, reason = n.reason
FROM (SELECT n.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) AS n(tenant_id, purchase_order_id, by, reason, at)
      JOIN purchase_order o USING (tenant_id, purchase_order_id) WHERE o.status <> 'CANCELLED'
      ORDER BY o.tenant_id, o.purchase_order_id FOR NO KEY UPDATE OF o) n
WHERE o.tenant_id = n.tenant_id AND o.purchase_order_id = n.purchase_order_id`)

// NoteCancelled sets the status of orders, each given once, that another worker cancelled: an order already CANCELLED
// stays as it is.
func NoteCancelled(ctx context.Context, tx store.Tx, orders []CancelledOrder) error {
	if len(orders) == 0 {
		return nil
	}
	columns := pg.NewColumns(5, len(orders))
	for _, o := range orders {
		columns.Add(o.Tenant, o.Order, o.By, o.Reason, o.At)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("noting the cancellation of %d orders", len(orders)), noteCancelled, columns...)
}
