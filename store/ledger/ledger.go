package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// # The ledger
//
// movement is append-only; its key is the source event and the line, so that an
// event moves stock once even where the inbox has forgotten it. A position is
// the sum of its movements and counts them in sequence. Goods come from
// somewhere and go somewhere: each event moves them between two locations, one
// of which may be virtual, and the two lines sum to zero.
//
// A batch makes what it sees for the first time, then locks its positions in key
// order, which no two batches can deadlock on, then looks which of its events have moved already, decides in memory and
// writes everything with one statement. READ COMMITTED is enough: what was
// decided on is locked.

// Virtual locations, one of each a tenant: where goods come from and go to.
const (
	Supplier = "@supplier"
	Customer = "@customer"
	Loss     = "@loss"
	Transit  = "@transit"
)

// Position is how much of an item stands at a location, locked by the
// transaction that read it. Threshold is the low-stock threshold of the
// position's replenishment rule, if it has one.
type Position struct {
	masterdata.PositionKey
	ID        int64          `db:"id"`
	OnHand    event.Decimal  `db:"on_hand"`
	Reserved  event.Decimal  `db:"reserved"`
	Sequence  int64          `db:"sequence"`
	Armed     bool           `db:"armed"`
	Threshold *event.Decimal `db:"low_stock_threshold"`
}

// Available is what can still be promised.
func (p *Position) Available() event.Decimal { return p.OnHand.Sub(p.Reserved) }

// Movement is one line of one event: so much to (or, negative, from) a position.
// OnHand and Sequence are the position's after it.
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

// Keys come in the order in which they are to be locked. Movements are counted
// once, not once a row.
var lockPositionsSQL = pg.SQL(`
SELECT k.ord, p.id, p.on_hand, p.reserved, p.sequence, p.armed, r.low_stock_threshold,
       (SELECT count(*) FROM movement WHERE event_id = ANY ($4::uuid[])) AS moved
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(tenant_id, item_id, location_id, ord)
JOIN position p USING (tenant_id, item_id, location_id)
LEFT JOIN replenishment_rule r USING (tenant_id, item_id, location_id)
ORDER BY k.ord
FOR NO KEY UPDATE OF p`)

var missingPositions = pg.SQL(`
SELECT k.tenant_id, k.item_id, k.location_id
FROM unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, item_id, location_id)
LEFT JOIN position p USING (tenant_id, item_id, location_id)
WHERE p.id IS NULL`)

// LockPositions locks the positions for the rest of the transaction. What is
// seen for the first time is made: position, item (named by names where it
// knows it) and location, marked incomplete until master data says more.
//
// Whoever makes a position while it has others locked may deadlock with others
// who do, and each time costs PostgreSQL's deadlock_timeout of a second. So what
// this process has not seen before is asked for, and made where it is missing,
// before anything is locked.
func LockPositions(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey, names map[masterdata.ItemKey]string) (map[masterdata.PositionKey]*Position, error) {
	positions, _, err := lockPositions(ctx, tx, nil, keys, names)
	return positions, err
}

// LockUnmoved is LockPositions, and tells as Moved does which of the events have
// moved stock already, in the same round trip. The answer is as old as the
// statement's snapshot, which may be a little older than the locks: the events
// must have been claimed by this transaction (Claim), so that nobody else is
// about to move them.
func LockUnmoved(ctx context.Context, tx store.Tx, events []uuid.UUID, keys []masterdata.PositionKey, names map[masterdata.ItemKey]string) (map[masterdata.PositionKey]*Position, map[uuid.UUID]bool, error) {
	positions, movements, err := lockPositions(ctx, tx, events, keys, names)
	if err != nil || movements == 0 {
		return positions, nil, err
	}
	moved, err := Moved(ctx, tx, events)
	return positions, moved, err
}

// lockPositions also counts the movements of the events.
func lockPositions(ctx context.Context, tx store.Tx, events []uuid.UUID, keys []masterdata.PositionKey, names map[masterdata.ItemKey]string) (map[masterdata.PositionKey]*Position, int, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, masterdata.ComparePositionKeys)
	keys = slices.Compact(keys)
	if strange := seenIn(tx).Unknown(keys); len(strange) > 0 {
		tenants, items, locations := masterdata.KeyColumns(strange)
		var missing []masterdata.PositionKey
		if err := pg.Select(ctx, tx, &missing, missingPositions, tenants, items, locations); err != nil {
			return nil, 0, fmt.Errorf("looking for %d positions: %w", len(strange), err)
		}
		if err := createPositions(ctx, tx, missing, names); err != nil {
			return nil, 0, fmt.Errorf("making %d new positions: %w", len(missing), err)
		}
	}
	positions, movements, err := lockKnown(ctx, tx, events, keys)
	if err != nil || len(positions) == len(keys) {
		return positions, movements, err
	}
	missing := slices.DeleteFunc(slices.Clone(keys), func(k masterdata.PositionKey) bool { return positions[k] != nil })
	if err := createPositions(ctx, tx, missing, names); err != nil {
		return nil, 0, fmt.Errorf("making %d new positions: %w", len(missing), err)
	}
	return lockKnown(ctx, tx, events, keys)
}

func lockKnown(ctx context.Context, tx store.Tx, events []uuid.UUID, keys []masterdata.PositionKey) (map[masterdata.PositionKey]*Position, int, error) {
	tenants, items, locations := masterdata.KeyColumns(keys)
	found := make([]Position, 0, len(keys))
	var ord, movements int
	err := pg.Each(ctx, tx, lockPositionsSQL, func(row *sql.Rows) error {
		var p Position
		if err := row.Scan(&ord, &p.ID, &p.OnHand, &p.Reserved, &p.Sequence, &p.Armed, &p.Threshold, &movements); err != nil {
			return err
		}
		p.PositionKey = keys[ord-1]
		found = append(found, p)
		return nil
	}, tenants, items, locations, pg.UUIDs(events))
	if err != nil {
		return nil, 0, fmt.Errorf("locking %d positions: %w", len(keys), err)
	}
	positions := make(map[masterdata.PositionKey]*Position, len(found))
	for i := range found {
		positions[found[i].PositionKey] = &found[i]
	}
	if len(positions) == len(keys) {
		// Those made by this transaction are there for others only when it has committed (Commit).
		made := pg.TxState[madePositions](tx).keys
		seenIn(tx).Add(slices.DeleteFunc(slices.Clone(keys), func(k masterdata.PositionKey) bool { return made[k] }))
	}
	return positions, movements, nil
}

var createPositionsSQL = pg.SQL(`
INSERT INTO position (tenant_id, item_id, location_id)
SELECT tenant_id, item_id, location_id FROM unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, item_id, location_id)
ORDER BY tenant_id, item_id, location_id ON CONFLICT DO NOTHING`)

func createPositions(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey, names map[masterdata.ItemKey]string) error {
	if len(keys) == 0 {
		return nil
	}
	tenants, items, locations := masterdata.KeyColumns(keys)
	itemNames, kinds := pg.NewTexts(len(keys), 32), pg.NewTexts(len(keys), 8)
	for _, k := range keys {
		itemNames.Add(names[masterdata.ItemKey{Tenant: k.Tenant, Item: k.Item}])
		kinds.Add(masterdata.KindOfLocation(k.Location))
	}
	if _, err := pg.Exec(ctx, tx, masterdata.CreateItems, tenants, items, itemNames); err != nil {
		return err
	}
	if _, err := pg.Exec(ctx, tx, masterdata.CreateLocations, tenants, locations, kinds); err != nil {
		return err
	}
	noteMade(tx, keys)
	_, err := pg.Exec(ctx, tx, createPositionsSQL, tenants, items, locations)
	return err
}

var movedEvents = pg.SQL(`SELECT DISTINCT event_id FROM movement WHERE event_id = ANY ($1::uuid[])`)

// Moved tells which of the events have moved stock already. It is asked with
// their positions locked, so that the answer stays true.
func Moved(ctx context.Context, tx store.Tx, events []uuid.UUID) (map[uuid.UUID]bool, error) {
	var found []uuid.UUID
	if err := pg.Select(ctx, tx, &found, movedEvents, pg.UUIDs(events)); err != nil {
		return nil, fmt.Errorf("looking for movements of %d events: %w", len(events), err)
	}
	moved := map[uuid.UUID]bool{}
	for _, id := range found {
		moved[id] = true
	}
	return moved, nil
}

var postMovements = pg.SQL(`
WITH posted AS (
    INSERT INTO movement (event_id, line, position_id, sequence, quantity, on_hand, type, occurred_at)
    SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::bigint[], $5::numeric[], $6::numeric[], $7::text[], $8::timestamptz[])
)
UPDATE position p SET on_hand = n.on_hand, sequence = n.sequence, armed = n.armed
FROM unnest($9::bigint[], $10::numeric[], $11::bigint[], $12::boolean[]) AS n(id, on_hand, sequence, armed)
WHERE p.id = n.id`)

// Post writes movements and the positions they end in. The positions must be
// locked by this transaction (LockPositions).
func Post(ctx context.Context, tx store.Tx, movements []Movement, positions []*Position) error {
	n := len(movements)
	events, lines, at, sequences := pg.NewColumn(n, 36), pg.NewColumn(n, 1), pg.NewColumn(n, 10), pg.NewColumn(n, 6)
	quantities, onHand, types, occurred := pg.NewColumn(n, 8), pg.NewColumn(n, 8), pg.NewTexts(n, 10), pg.NewColumn(n, 28)
	for i := range movements {
		m := &movements[i]
		events.UUID(m.EventID)
		lines.Integer(int64(m.Line))
		at.Integer(m.Position)
		sequences.Integer(m.Sequence)
		quantities.Decimal(m.Quantity)
		onHand.Decimal(m.OnHand)
		types.Add(string(m.Type))
		occurred.Time(m.OccurredAt)
	}
	k := len(positions)
	ids, ends, ended, armed := pg.NewColumn(k, 10), pg.NewColumn(k, 8), pg.NewColumn(k, 6), pg.NewColumn(k, 5)
	for _, p := range positions {
		ids.Integer(p.ID)
		ends.Decimal(p.OnHand)
		ended.Integer(p.Sequence)
		armed.Boolean(p.Armed)
	}
	changed, err := pg.Exec(ctx, tx, postMovements, events, lines, at, sequences, quantities, onHand, types, occurred, ids, ends, ended, armed)
	if err != nil {
		return fmt.Errorf("posting %d movements: %w", n, err)
	}
	if changed != int64(k) {
		return fmt.Errorf("posting %d movements: %d of %d positions changed: %w", n, changed, k, sql.ErrNoRows)
	}
	return nil
}
