package stockview

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
)

// OrderUpdate is the new facts about an order: any of its creation, approval and cancellation, and the rules that asked
// for it.
type OrderUpdate struct {
	purchasing.OrderKey
	Triggers []OrderTrigger
	// Creation is nil when it is not among the facts.
	Creation *OrderCreation
	Approved bool
	// CancelledAt is the cancellation's log position, nil when it is not among the facts.
	CancelledAt *int64
}

// OrderTrigger is the state in which a rule asked for an order: the position's version.
type OrderTrigger struct {
	masterdata.PositionKey
	Sequence int64
}

// OrderCreation is the content of PURCHASE_ORDER_CREATED.
type OrderCreation struct {
	Number, Supplier, Location string
	At                         time.Time
	// Seq is its log position.
	Seq   int64
	Lines []event.PurchaseOrderLine
}

var noteOrders = pg.SQL(`
INSERT INTO stock_order AS o (tenant_id, purchase_order_id, po_number, supplier_id, ordered_at, created_seq, approved, cancelled_seq)
SELECT tenant_id, purchase_order_id, po_number, supplier_id, ordered_at, created_seq, approved, cancelled_seq
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::boolean[], $8::bigint[]) WITH ORDINALITY
     AS n(tenant_id, purchase_order_id, po_number, supplier_id, ordered_at, created_seq, approved, cancelled_seq, ord)
ORDER BY n.ord
ON CONFLICT (tenant_id, purchase_order_id) DO UPDATE
SET po_number = CASE WHEN o.created_seq IS NULL THEN excluded.po_number ELSE o.po_number END,
    supplier_id = CASE WHEN o.created_seq IS NULL THEN excluded.supplier_id ELSE o.supplier_id END,
    ordered_at = coalesce(o.ordered_at, excluded.ordered_at), created_seq = coalesce(o.created_seq, excluded.created_seq),
    approved = o.approved OR excluded.approved, cancelled_seq = coalesce(o.cancelled_seq, excluded.cancelled_seq)`)

// Trigger and creation of a line arrive in either order.
var noteOrderLines = pg.SQL(`
INSERT INTO stock_order_line AS l (tenant_id, item_id, location_id, purchase_order_id, ordered, position_seq)
SELECT tenant_id, item_id, location_id, purchase_order_id, sum(ordered), max(position_seq)
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::bigint[])
     AS n(tenant_id, item_id, location_id, purchase_order_id, ordered, position_seq)
GROUP BY tenant_id, item_id, location_id, purchase_order_id
ON CONFLICT (tenant_id, item_id, location_id, purchase_order_id) DO UPDATE
SET ordered = greatest(l.ordered, excluded.ordered), position_seq = greatest(l.position_seq, excluded.position_seq)`)

// NoteOrders stores facts about orders, at most one OrderUpdate an order, written in key order.
func NoteOrders(ctx context.Context, tx store.Tx, news []OrderUpdate) error {
	slices.SortFunc(news, func(a, b OrderUpdate) int { return purchasing.CompareOrderKeys(a.OrderKey, b.OrderKey) })
	orders, lines := pg.NewColumns(8, len(news)), pg.NewColumns(6, len(news))
	for _, o := range news {
		for _, t := range o.Triggers {
			lines.Add(t.Tenant, t.Item, t.Location, o.Order, event.Decimal{}, t.Sequence)
		}
		c := o.Creation
		if c == nil {
			orders.Add(o.Tenant, o.Order, "", "", nil, nil, o.Approved, o.CancelledAt)
			continue
		}
		orders.Add(o.Tenant, o.Order, c.Number, c.Supplier, c.At, c.Seq, o.Approved, o.CancelledAt)
		for _, l := range c.Lines {
			lines.Add(o.Tenant, l.ItemID, c.Location, o.Order, l.Quantity, 0)
		}
	}
	if _, err := pg.Exec(ctx, tx, noteOrders, orders...); err != nil {
		return fmt.Errorf("noting %d orders: %w", len(news), err)
	}
	if lines.Rows() == 0 {
		return nil
	}
	return pg.Write(ctx, tx, fmt.Sprintf("noting %d lines of orders", lines.Rows()), noteOrderLines, lines...)
}

var orderedPositions = pg.SQL(`
SELECT DISTINCT l.tenant_id, l.item_id, l.location_id FROM unnest($1::text[], $2::text[]) AS k(tenant_id, purchase_order_id)
JOIN stock_order_line l USING (tenant_id, purchase_order_id)`)

// OrderedPositions returns the positions that the orders have lines at, as far as their creation has arrived. This
// transaction must have noted the orders.
func OrderedPositions(ctx context.Context, tx store.Tx, orders []purchasing.OrderKey) ([]masterdata.PositionKey, error) {
	return pg.List[masterdata.PositionKey](ctx, tx, fmt.Sprintf("reading the positions of %d orders", len(orders)), orderedPositions, purchasing.OrderColumns(orders)...)
}
