package planning

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// # Replenishment
//
// replenishment_state has a row for every stock position seen, with or without a rule: on hand, on order, whether its
// need is held, and the levels its newest forecast gives an auto rule. Its row lock protects everything about the
// position: only its holder writes the position's order lines, bookings and forecasts.
//
// Rows are made before any is locked, and locked in key order, as masterdata.PositionRows does.

// Replenishment is a position that may need an order, locked by the transaction that read it.
type Replenishment struct {
	masterdata.PositionKey
	ID int64
	// OnHand and Reserved are the ledger's at Sequence; 0: no movement seen yet.
	OnHand, Reserved event.Decimal
	Sequence         int64
	// StockKnown: a count, a delivery, a transfer or an adjustment was seen, not only sales and returns.
	StockKnown bool
	// LatestAt is the latest business time seen.
	LatestAt time.Time
	// OnOrder is the open quantity of the open lines; Bookings counts its changes.
	OnOrder  event.Decimal
	Bookings int64
	// HeldOn is the business date of a cancellation, "" when the need is not held. HeldVersion is the rule's at that
	// time.
	HeldOn      event.Date
	HeldVersion int64
	// ForecastStart is the newest forecast's, "" when there is none.
	ForecastStart event.Date
	// RuleVersion is 0 when there is no rule.
	RuleVersion int64
	// ReorderPoint is nil when nothing is ordered: no rule, or one that only watches.
	ReorderPoint *event.Decimal
	// Stale means that the rule follows the forecast and has changed since it last did: see ReplenishmentPlans.
	Stale bool

	row string // the ctid of the locked row
}

// Available is what can still be promised.
func (r *Replenishment) Available() event.Decimal { return r.OnHand.Sub(r.Reserved) }

// Position is the inventory position without what is in transit (ReplenishmentPlan.InTransit): on hand and on order,
// less reserved.
func (r *Replenishment) Position() event.Decimal { return r.Available().Add(r.OnOrder) }

var lockReplenishmentsSQL = pg.SQL(`
SELECT k.ord, p.ctid, p.id, p.on_hand, p.reserved, p.sequence, p.stock_known, p.latest_at, p.on_order, p.bookings,
       coalesce(p.held_on::text, ''), coalesce(p.held_version, 0), coalesce(p.forecast_start::text, ''), coalesce(r.version, 0),
       CASE WHEN r.supplier_id IS NULL THEN NULL WHEN r.mode = 'auto' AND p.planned_version = r.version THEN p.reorder_point ELSE r.reorder_point END,
       coalesce(r.mode = 'auto' AND r.supplier_id IS NOT NULL AND p.forecast_start IS NOT NULL AND p.planned_version IS DISTINCT FROM r.version, false)
FROM ` + masterdata.RowsSQL("replenishment_state") + `
LEFT JOIN replenishment_rule r ON r.tenant_id = k.tenant_id AND r.item_id = k.item_id AND r.location_id = k.location_id
ORDER BY k.ord
FOR NO KEY UPDATE OF p`)

var missingReplenishments = pg.SQL(masterdata.MissingRowsSQL("replenishment_state"))

var createReplenishmentsSQL = pg.SQL(`
INSERT INTO replenishment_state (tenant_id, item_id, location_id, stock_known)
SELECT tenant_id, item_id, location_id, false FROM unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, item_id, location_id)
ORDER BY tenant_id, item_id, location_id ON CONFLICT DO NOTHING`)

// Replenishments locks positions. It remembers which ones this process has seen, so that new ones are made before any
// is locked. The zero value works.
type Replenishments struct{ seen masterdata.KnownPositions }

// Lock locks the positions for the rest of the transaction; missing ones are made.
func (r *Replenishments) Lock(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey) (map[masterdata.PositionKey]*Replenishment, error) {
	return masterdata.PositionRows[Replenishment]{
		Known: &r.seen, What: "the replenishment of %d positions", Missing: missingReplenishments,
		Create: func(missing []masterdata.PositionKey) error {
			return pg.Write(ctx, tx, fmt.Sprintf("making the replenishment of %d positions", len(missing)), createReplenishmentsSQL, masterdata.KeyColumns(missing)...)
		},
		Lock: func(keys []masterdata.PositionKey, columns pg.Columns) (map[masterdata.PositionKey]*Replenishment, error) {
			return lockReplenishments(ctx, tx, keys, columns)
		},
		ID: func(r *Replenishment) int64 { return r.ID },
	}.LockAll(ctx, tx, keys)
}

func lockReplenishments(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey, columns pg.Columns) (map[masterdata.PositionKey]*Replenishment, error) {
	rows := make([]Replenishment, 0, len(keys))
	locked := make(map[masterdata.PositionKey]*Replenishment, len(keys))
	var ord int
	err := pg.Each(ctx, tx, fmt.Sprintf("locking the replenishment of %d positions", len(keys)), lockReplenishmentsSQL, func(row *sql.Rows) error {
		rows = append(rows, Replenishment{})
		s := &rows[len(rows)-1]
		if err := row.Scan(&ord, &s.row, &s.ID, &s.OnHand, &s.Reserved, &s.Sequence, &s.StockKnown, &s.LatestAt, &s.OnOrder, &s.Bookings,
			&s.HeldOn, &s.HeldVersion, &s.ForecastStart, &s.RuleVersion, &s.ReorderPoint, &s.Stale); err != nil {
			return err
		}
		s.PositionKey = keys[ord-1]
		locked[s.PositionKey] = s
		return nil
	}, columns...)
	return locked, err
}

var noteStock = pg.SQL(`
UPDATE replenishment_state s SET on_hand = n.on_hand, reserved = n.reserved, sequence = n.sequence, stock_known = n.stock_known, latest_at = n.latest_at
FROM unnest($1::tid[], $2::numeric[], $3::numeric[], $4::bigint[], $5::boolean[], $6::timestamptz[])
     AS n(place, on_hand, reserved, sequence, stock_known, latest_at)
WHERE s.ctid = n.place`)

// NoteStock writes the stock of the positions: OnHand, Reserved, Sequence, StockKnown and LatestAt. This transaction
// must hold their locks, and not have written them before: their rows are found by their places.
func NoteStock(ctx context.Context, tx store.Tx, positions []*Replenishment) error {
	if len(positions) == 0 {
		return nil
	}
	columns := pg.NewColumns(6, len(positions))
	for _, p := range positions {
		columns.Add(p.row, p.OnHand, p.Reserved, p.Sequence, p.StockKnown, p.LatestAt)
	}
	n, err := pg.Exec(ctx, tx, noteStock, columns...)
	if err == nil && n != int64(len(positions)) {
		err = fmt.Errorf("%d were written: %w", n, sql.ErrNoRows)
	}
	if err != nil {
		return fmt.Errorf("writing the stock of %d positions: %w", len(positions), err)
	}
	return nil
}
