package stockview

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
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
	slices.SortFunc(news, func(a, b OrderUpdate) int { return compareOrderKeys(a.OrderKey, b.OrderKey) })
	n := len(news)
	tenants, orders, numbers, suppliers := pg.NewTexts(n, 16), pg.NewTexts(n, 36), pg.NewTexts(n, 16), pg.NewTexts(n, 16)
	madeAt, created, approved, cancelled := pg.NewColumn(n, 28), pg.NewColumn(n, 8), pg.NewColumn(n, 5), pg.NewColumn(n, 8)
	var at []masterdata.PositionKey
	of, ordered, seen := pg.NewTexts(n, 36), pg.NewColumn(n, 8), pg.NewColumn(n, 8)
	line := func(order string, where masterdata.PositionKey, quantity event.Decimal, sequence int64) {
		at = append(at, where)
		of.Add(order)
		ordered.Decimal(quantity)
		seen.Integer(sequence)
	}
	for _, o := range news {
		tenants.Add(o.Tenant)
		orders.Add(o.Order)
		approved.Boolean(o.Approved)
		cancelled.IntegerOrNull(o.CancelledAt)
		for _, t := range o.Triggers {
			line(o.Order, t.PositionKey, event.Decimal{}, t.Sequence)
		}
		c := o.Creation
		if c == nil {
			numbers.Add("")
			suppliers.Add("")
			madeAt.Null()
			created.Null()
			continue
		}
		numbers.Add(c.Number)
		suppliers.Add(c.Supplier)
		madeAt.Time(c.At)
		created.Integer(c.Seq)
		for _, l := range c.Lines {
			line(o.Order, masterdata.PositionKey{Tenant: o.Tenant, Item: l.ItemID, Location: c.Location}, l.Quantity, 0)
		}
	}
	if _, err := pg.Exec(ctx, tx, noteOrders, tenants, orders, numbers, suppliers, madeAt, created, approved, cancelled); err != nil {
		return fmt.Errorf("noting %d orders: %w", n, err)
	}
	if len(at) == 0 {
		return nil
	}
	lineTenants, items, locations := masterdata.KeyColumns(at)
	if _, err := pg.Exec(ctx, tx, noteOrderLines, lineTenants, items, locations, of, ordered, seen); err != nil {
		return fmt.Errorf("noting %d lines of orders: %w", len(at), err)
	}
	return nil
}

func compareOrderKeys(a, b purchasing.OrderKey) int {
	if c := strings.Compare(a.Tenant, b.Tenant); c != 0 {
		return c
	}
	return strings.Compare(a.Order, b.Order)
}

var orderedPositions = pg.SQL(`
SELECT DISTINCT l.tenant_id, l.item_id, l.location_id FROM unnest($1::text[], $2::text[]) AS k(tenant_id, purchase_order_id)
JOIN stock_order_line l USING (tenant_id, purchase_order_id)`)

// OrderedPositions returns the positions that the orders have lines at, as far as their creation has arrived. This
// transaction must have noted the orders.
func OrderedPositions(ctx context.Context, tx store.Tx, orders []purchasing.OrderKey) ([]masterdata.PositionKey, error) {
	tenants, ids := pg.NewTexts(len(orders), 16), pg.NewTexts(len(orders), 36)
	for _, o := range orders {
		tenants.Add(o.Tenant)
		ids.Add(o.Order)
	}
	var keys []masterdata.PositionKey
	err := pg.Each(ctx, tx, orderedPositions, func(row *sql.Rows) error {
		var k masterdata.PositionKey
		err := row.Scan(&k.Tenant, &k.Item, &k.Location)
		keys = append(keys, k)
		return err
	}, tenants, ids)
	if err != nil {
		return nil, fmt.Errorf("reading the positions of %d orders: %w", len(orders), err)
	}
	return keys, nil
}
