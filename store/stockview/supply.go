package stockview

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// SupplyLine is the quantity an order asks for at a position, and what was received for it.
type SupplyLine struct {
	Order             string
	Ordered, Received event.Decimal
	// CreatedAt and CancelledAt are log positions; CancelledAt is nil for an order that stands.
	CreatedAt   int64
	CancelledAt *int64
	// Sequence is the position's version when the rule asked for the line, 0 when that is not known.
	Sequence int64
	stored   event.Decimal // received, in the database
}

// Rest is the quantity still to be received.
func (l *SupplyLine) Rest() event.Decimal {
	if l.CancelledAt != nil || !l.Received.LessThan(l.Ordered) {
		return event.Decimal{}
	}
	return l.Ordered.Sub(l.Received)
}

// SupplyReceipt is a delivery by a supplier.
type SupplyReceipt struct {
	EventID uuid.UUID
	// Seq is its log position.
	Seq int64
	// Sequence is the position's version after it.
	Sequence int64
	// Order is the order it answers, "" when the warehouse did not know.
	Order    string
	Quantity event.Decimal
}

// Supply is everything known about deliveries to a position, locked by the transaction that read it. Lines and
// receipts are in log order.
type Supply struct {
	masterdata.PositionKey
	Lines    []*SupplyLine
	Receipts []SupplyReceipt
}

var lockSupplies = pg.SQL(`
INSERT INTO stock_supply AS s (tenant_id, item_id, location_id)
SELECT tenant_id, item_id, location_id FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(tenant_id, item_id, location_id, ord)
ORDER BY k.ord
ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE SET on_order = s.on_order`)

var noteReceiptsSQL = pg.SQL(`
INSERT INTO stock_receipt (tenant_id, item_id, location_id, event_id, log_seq, position_seq, purchase_order_id, quantity)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::bigint[], $7::text[], $8::numeric[])
ON CONFLICT DO NOTHING`)

var supplyLines = pg.SQL(`
SELECT k.ord, l.purchase_order_id, l.ordered, l.received, o.created_seq, o.cancelled_seq, l.position_seq
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(tenant_id, item_id, location_id, ord)
JOIN stock_order_line l USING (tenant_id, item_id, location_id)
JOIN stock_order o ON o.tenant_id = l.tenant_id AND o.purchase_order_id = l.purchase_order_id AND o.created_seq IS NOT NULL
ORDER BY k.ord, o.created_seq, l.purchase_order_id COLLATE "C"`)

var supplyReceipts = pg.SQL(`
SELECT k.ord, r.event_id, r.log_seq, r.position_seq, r.purchase_order_id, r.quantity
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(tenant_id, item_id, location_id, ord)
JOIN stock_receipt r USING (tenant_id, item_id, location_id)
ORDER BY k.ord, r.log_seq, r.event_id`)

// Supplies locks the supply of positions, stores their new receipts, which may be none, and returns everything then
// known of the positions.
func Supplies(ctx context.Context, tx store.Tx, news map[masterdata.PositionKey][]SupplyReceipt) ([]*Supply, error) {
	supplies := make([]*Supply, 0, len(news))
	keys := slices.SortedFunc(maps.Keys(news), masterdata.ComparePositionKeys)
	for _, k := range keys {
		supplies = append(supplies, &Supply{PositionKey: k})
	}
	columns := masterdata.KeyColumns(keys)
	if _, err := pg.Exec(ctx, tx, lockSupplies, columns...); err != nil {
		return nil, fmt.Errorf("locking the supply of %d positions: %w", len(keys), err)
	}
	if err := noteReceipts(ctx, tx, keys, news); err != nil {
		return nil, err
	}
	err := pg.Each(ctx, tx, fmt.Sprintf("reading the order lines of %d positions", len(keys)), supplyLines, func(row *sql.Rows) error {
		var ord int
		var l SupplyLine
		if err := row.Scan(&ord, &l.Order, &l.Ordered, &l.Received, &l.CreatedAt, &l.CancelledAt, &l.Sequence); err != nil {
			return err
		}
		l.stored = l.Received
		supplies[ord-1].Lines = append(supplies[ord-1].Lines, &l)
		return nil
	}, columns...)
	if err != nil {
		return nil, err
	}
	err = pg.Each(ctx, tx, fmt.Sprintf("reading the receipts of %d positions", len(keys)), supplyReceipts, func(row *sql.Rows) error {
		var ord int
		var r SupplyReceipt
		err := row.Scan(&ord, &r.EventID, &r.Seq, &r.Sequence, &r.Order, &r.Quantity)
		supplies[ord-1].Receipts = append(supplies[ord-1].Receipts, r)
		return err
	}, columns...)
	return supplies, err
}

func noteReceipts(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey, news map[masterdata.PositionKey][]SupplyReceipt) error {
	receipts := pg.NewColumns(8, len(keys))
	for _, k := range keys {
		for _, r := range news[k] {
			receipts.Add(k.Tenant, k.Item, k.Location, r.EventID, r.Seq, r.Sequence, r.Order, r.Quantity)
		}
	}
	if receipts.Rows() == 0 {
		return nil
	}
	return pg.Write(ctx, tx, fmt.Sprintf("noting %d receipts", receipts.Rows()), noteReceiptsSQL, receipts...)
}

var writeSupplies = pg.SQL(`
WITH line AS (
    UPDATE stock_order_line l SET received = n.received
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[]) AS n(tenant_id, item_id, location_id, purchase_order_id, received)
    WHERE l.tenant_id = n.tenant_id AND l.item_id = n.item_id AND l.location_id = n.location_id AND l.purchase_order_id = n.purchase_order_id
)
UPDATE stock_supply s SET on_order = n.on_order, next_order = n.next_order, next_quantity = n.next_quantity
FROM unnest($6::text[], $7::text[], $8::text[], $9::numeric[], $10::text[], $11::numeric[]) AS n(tenant_id, item_id, location_id, on_order, next_order, next_quantity)
WHERE s.tenant_id = n.tenant_id AND s.item_id = n.item_id AND s.location_id = n.location_id`)

// WriteSupplies writes what was received for the lines of supplies that this transaction has locked, and the on-order
// quantity that leaves.
func WriteSupplies(ctx context.Context, tx store.Tx, supplies []*Supply) error {
	lines, positions := pg.NewColumns(5, len(supplies)), pg.NewColumns(6, len(supplies))
	for _, s := range supplies {
		var sum, first event.Decimal
		order := ""
		for _, l := range s.Lines {
			if !l.Received.Equal(l.stored) {
				lines.Add(s.Tenant, s.Item, s.Location, l.Order, l.Received)
			}
			if rest := l.Rest(); rest.IsPositive() {
				if sum = sum.Add(rest); order == "" {
					order, first = l.Order, rest
				}
			}
		}
		positions.Add(s.Tenant, s.Item, s.Location, sum, order, first)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("writing the supply of %d positions", len(supplies)), writeSupplies, append(lines, positions...)...)
}
