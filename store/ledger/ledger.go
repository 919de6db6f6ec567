package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// Virtual locations, one of each a tenant: where goods come from and go to.
const (
	Supplier = "@supplier"
	Customer = "@customer"
	Loss     = "@loss"
	Transit  = "@transit"
)

// Position is how much of an item stands at a location, locked by the transaction that read it. Threshold is the
// low-stock threshold of the position's replenishment rule; nil: none.
type Position struct {
	masterdata.PositionKey
	ID        int64          `db:"id"`
	OnHand    event.Decimal  `db:"on_hand"`
	Reserved  event.Decimal  `db:"reserved"`
	Sequence  int64          `db:"sequence"`
	Armed     bool           `db:"armed"`
	Threshold *event.Decimal `db:"low_stock_threshold"`
	// CountedAt is the business time of its latest count; nil: it was never counted.
	CountedAt *time.Time `db:"counted_at"`

	row string // the ctid of the locked row
}

// Available is what can still be promised.
func (p *Position) Available() event.Decimal { return p.OnHand.Sub(p.Reserved) }

// Movement is one line of one event: a quantity to (or, negative, from) a position. OnHand and Sequence are the
// position's after it.
type Movement struct {
	EventID    uuid.UUID
	Line       int
	Position   int64
	Sequence   int64
	Quantity   event.Decimal
	OnHand     event.Decimal
	Type       event.TransactionType
	OccurredAt time.Time
}

// Keys arrive in locking order. Movements are counted once, not once a row. A virtual location has no rule. The row's
// place is the one of the version that is locked: nothing moves it before this transaction does.
var lockPositionsSQL = pg.SQL(`
SELECT k.ord, p.ctid, p.id, p.on_hand, p.reserved, p.sequence, p.armed, CASE WHEN left(k.location_id, 1) <> '@' THEN (
           SELECT r.low_stock_threshold FROM replenishment_rule r
           WHERE r.tenant_id = k.tenant_id AND r.item_id = k.item_id AND r.location_id = k.location_id) END,
       p.counted_at, (SELECT count(*) FROM movement WHERE event_id = ANY ($5::uuid[])) AS moved
FROM ` + masterdata.RowsSQL("position") + `
ORDER BY k.ord
FOR NO KEY UPDATE OF p`)

var missingPositions = pg.SQL(masterdata.MissingRowsSQL("position"))

// known are the positions that a pool has seen: a state of the pool is found by its type.
type known struct{ masterdata.KnownPositions }

// LockPositions locks the positions for the rest of the transaction. A position seen for the first time is made, with
// its item (named by names where it is known there) and location, both incomplete until master data says more.
func LockPositions(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey, names map[masterdata.ItemKey]string) (map[masterdata.PositionKey]*Position, error) {
	positions, _, err := LockUnmoved(ctx, tx, nil, keys, names)
	return positions, err
}

// LockUnmoved is LockPositions, and returns as Moved does which events have moved stock already, in the same round
// trip. The answer is as old as the statement's snapshot, which may be older than the locks: this transaction must
// have claimed the events (inbox.Claim), so that no other is about to move them.
func LockUnmoved(ctx context.Context, tx store.Tx, events []uuid.UUID, keys []masterdata.PositionKey, names map[masterdata.ItemKey]string) (map[masterdata.PositionKey]*Position, map[uuid.UUID]bool, error) {
	movements := 0 // of the events
	positions, err := masterdata.PositionRows[Position]{
		Known: &pg.PoolState[known](pg.DBOf(tx)).KnownPositions, What: "%d positions", Missing: missingPositions,
		Create: func(missing []masterdata.PositionKey) error { return createPositions(ctx, tx, missing, names) },
		Lock: func(keys []masterdata.PositionKey, columns pg.Columns) (found map[masterdata.PositionKey]*Position, err error) {
			found, movements, err = lockKnown(ctx, tx, events, keys, columns)
			return found, err
		},
		ID: func(p *Position) int64 { return p.ID },
	}.LockAll(ctx, tx, keys)
	if err != nil || movements == 0 {
		return positions, nil, err
	}
	moved, err := Moved(ctx, tx, events)
	return positions, moved, err
}

func lockKnown(ctx context.Context, tx store.Tx, events []uuid.UUID, keys []masterdata.PositionKey, columns pg.Columns) (map[masterdata.PositionKey]*Position, int, error) {
	found := make([]Position, 0, len(keys))
	var ord, movements int
	err := pg.Each(ctx, tx, fmt.Sprintf("locking %d positions", len(keys)), lockPositionsSQL, func(row *sql.Rows) error {
		var p Position
		if err := row.Scan(&ord, &p.row, &p.ID, &p.OnHand, &p.Reserved, &p.Sequence, &p.Armed, &p.Threshold, &p.CountedAt, &movements); err != nil {
			return err
		}
		p.PositionKey = keys[ord-1]
		found = append(found, p)
		return nil
	}, append(columns, pg.UUIDs(events))...)
	if err != nil {
		return nil, 0, err
	}
	positions := make(map[masterdata.PositionKey]*Position, len(found))
	for i := range found {
		positions[found[i].PositionKey] = &found[i]
	}
	return positions, movements, nil
}

var createPositionsSQL = pg.SQL(`
INSERT INTO position (tenant_id, item_id, location_id)
SELECT tenant_id, item_id, location_id FROM unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, item_id, location_id)
ORDER BY tenant_id, item_id, location_id ON CONFLICT DO NOTHING`)

func createPositions(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey, names map[masterdata.ItemKey]string) error {
	err := masterdata.CreateItemsAndLocations(ctx, tx, keys, names)
	if err == nil {
		_, err = pg.Exec(ctx, tx, createPositionsSQL, masterdata.KeyColumns(keys)...)
	}
	if err != nil {
		return fmt.Errorf("making %d new positions: %w", len(keys), err)
	}
	return nil
}

var movedEvents = pg.SQL(`SELECT DISTINCT event_id FROM movement WHERE event_id = ANY ($1::uuid[])`)

// Moved returns which of the events have moved stock already. Call it with their positions locked, so that the answer
// stays true.
func Moved(ctx context.Context, tx store.Tx, events []uuid.UUID) (map[uuid.UUID]bool, error) {
	return pg.Set[uuid.UUID](ctx, tx, fmt.Sprintf("reading the movements of %d events", len(events)), movedEvents, pg.UUIDs(events))
}

// The positions are found by their rows' places, which costs half of a search by their ids.
var postMovements = pg.SQL(`
WITH posted AS (
    INSERT INTO movement (event_id, line, position_id, sequence, quantity, on_hand, type, occurred_at)
    SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::numeric[], $6::numeric[], $7::text[], $8::timestamptz[])
)
UPDATE position p SET on_hand = n.on_hand, sequence = n.sequence, armed = n.armed
FROM unnest($9::tid[], $10::numeric[], $11::bigint[], $12::boolean[]) AS n(place, on_hand, sequence, armed)
WHERE p.ctid = n.place`)

// Post writes movements and the positions after them. This transaction must hold the positions' locks (LockPositions),
// and post once for each lock.
func Post(ctx context.Context, tx store.Tx, movements []Movement, positions []*Position) error {
	n := len(movements)
	events, lines, at, sequences := pg.NewColumn(n, 36), pg.NewColumn(n, 1), pg.NewColumn(n, 10), pg.NewColumn(n, 6)
	quantities, onHand, types, occurred := pg.NewColumn(n, 8), pg.NewColumn(n, 8), pg.NewColumn(n, 12), pg.NewColumn(n, 28)
	for i := range movements {
		m := &movements[i]
		events.UUID(m.EventID)
		lines.Integer(int64(m.Line))
		at.Integer(m.Position)
		sequences.Integer(m.Sequence)
		quantities.Decimal(m.Quantity)
		onHand.Decimal(m.OnHand)
		types.Text(string(m.Type))
		occurred.Time(m.OccurredAt)
	}
	k := len(positions)
	places, ends, ended, armed := pg.NewColumn(k, 10), pg.NewColumn(k, 8), pg.NewColumn(k, 6), pg.NewColumn(k, 5)
	for _, p := range positions {
		places.Text(p.row)
		ends.Decimal(p.OnHand)
		ended.Integer(p.Sequence)
		armed.Boolean(p.Armed)
	}
	changed, err := pg.Exec(ctx, tx, postMovements, events, lines, at, sequences, quantities, onHand, types, occurred, places, ends, ended, armed)
	if err != nil {
		return fmt.Errorf("posting %d movements: %w", n, err)
	}
	if changed != int64(k) {
		return fmt.Errorf("posting %d movements: %d of %d positions changed: %w", n, changed, k, sql.ErrNoRows)
	}
	return nil
}
