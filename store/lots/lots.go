package lots

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// # Lots
//
// A shelf is a position as its lots see it: what is left of each, and the
// shortfall, which is what went out beyond them. The sum of the lots less the
// shortfall is what is on hand. The row of lot_balance is what a shelf is locked
// by; its lots are written by whoever holds it and by nobody else.
//
// Shelves are locked in key order, then business days are begun in key order,
// then lots are noted as expiring in key order: nobody who keeps to that can
// deadlock with another who does.

// Lot is what is left of goods of one number and one expiry date at a position.
type Lot struct {
	// Number is "" for the unnamed lot, Expiry is "" where it is not known.
	Number string
	Expiry event.Date
	// Quantity is more than zero; a lot that is used up is forgotten when its shelf is written.
	Quantity event.Decimal
	// ReceivedAt is the business time of the oldest receipt that what is left may come from.
	ReceivedAt time.Time
	stored     event.Decimal // the quantity in the database
}

// Shelf is a position's lots, locked by the transaction that read them.
type LotBalance struct {
	masterdata.PositionKey
	ID int64
	// Lots are in the order in which they go out: those of unknown expiry first,
	// then by date; of one date the oldest receipt first.
	Lots      []*Lot
	Shortfall event.Decimal
	// FirstHeard is the sequence of the first movement heard of, 0 where nothing has been heard of.
	FirstHeard int64

	lots       int // as many are in the database
	shortfall  event.Decimal
	firstHeard int64
}

// LotDay is what a location's calendar is: the latest business day that has
// begun there ("" where none has), and how many days before its expiry a lot is
// to be told of.
type LotDay struct {
	Day         event.Date
	WarningDays int
}

// DefaultExpiryWarning is expiry_warning_days of a tenant without settings.
const DefaultExpiryWarning = 30

// Both kinds of rows come with one round trip: shelves, and the days of their locations (shelf NULL).
var lockBalances = pg.SQL(`
SELECT s.ord, s.id, s.shortfall, s.lots, s.first_heard, NULL AS day, NULL AS warning_days FROM (
    SELECT k.ord, b.id, b.shortfall, b.lots, b.first_heard
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(tenant_id, item_id, location_id, ord)
    JOIN lot_balance b USING (tenant_id, item_id, location_id)
    ORDER BY k.ord
    FOR NO KEY UPDATE OF b) s
UNION ALL
SELECT k.ord, NULL, NULL, NULL, NULL, coalesce(d.day::text, ''), s.expiry_warning_days
FROM unnest($4::text[], $5::text[]) WITH ORDINALITY AS k(tenant_id, location_id, ord)
LEFT JOIN lot_day d USING (tenant_id, location_id)
LEFT JOIN tenant_setting s USING (tenant_id)`)

var missingBalances = pg.SQL(`
SELECT k.tenant_id, k.item_id, k.location_id
FROM unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, item_id, location_id)
LEFT JOIN lot_balance b USING (tenant_id, item_id, location_id)
WHERE b.id IS NULL`)

var createBalances = pg.SQL(`
INSERT INTO lot_balance (tenant_id, item_id, location_id)
SELECT tenant_id, item_id, location_id FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(tenant_id, item_id, location_id, ord)
ORDER BY k.ord ON CONFLICT DO NOTHING`)

// Shelves locks shelves. It remembers which this process has seen, so that those
// it has not are made before it holds any: see Tx.LockPositions. The zero value works.
type Balances struct{ seen masterdata.KnownPositions }

// Lock locks the shelves of positions, with their lots, for the rest of the
// transaction, and tells the days of their locations. Shelves seen for the first
// time are made. The days are as of a moment before: see Tx.BeginDays.
func (s *Balances) Lock(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey) (map[masterdata.PositionKey]*LotBalance, map[masterdata.LocationKey]LotDay, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, masterdata.ComparePositionKeys)
	keys = slices.Compact(keys)
	made := map[masterdata.PositionKey]bool{}
	create := func(missing []masterdata.PositionKey) error {
		slices.SortFunc(missing, masterdata.ComparePositionKeys)
		for _, k := range missing {
			made[k] = true
		}
		tenants, items, locations := masterdata.KeyColumns(missing)
		if _, err := pg.Exec(ctx, tx, createBalances, tenants, items, locations); err != nil {
			return fmt.Errorf("making shelves for the lots of %d positions: %w", len(missing), err)
		}
		return nil
	}
	if strange := s.seen.Unknown(keys); len(strange) > 0 {
		tenants, items, locations := masterdata.KeyColumns(strange)
		var missing []masterdata.PositionKey
		if err := pg.Select(ctx, tx, &missing, missingBalances, tenants, items, locations); err != nil {
			return nil, nil, fmt.Errorf("looking for the lots of %d positions: %w", len(strange), err)
		}
		if len(missing) > 0 {
			if err := create(missing); err != nil {
				return nil, nil, err
			}
		}
	}
	shelves, days, err := lockBalanceRows(ctx, tx, keys)
	if err == nil && len(shelves) < len(keys) {
		if err := create(slices.DeleteFunc(slices.Clone(keys), func(k masterdata.PositionKey) bool { return shelves[k] != nil })); err != nil {
			return nil, nil, err
		}
		shelves, days, err = lockBalanceRows(ctx, tx, keys)
	}
	if err != nil {
		return nil, nil, err
	}
	s.seen.Add(slices.DeleteFunc(keys, func(k masterdata.PositionKey) bool { return made[k] }))
	return shelves, days, readLots(ctx, tx, shelves)
}

func lockBalanceRows(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey) (map[masterdata.PositionKey]*LotBalance, map[masterdata.LocationKey]LotDay, error) {
	tenants, items, locations := masterdata.KeyColumns(keys)
	places := masterdata.LocationsOf(keys)
	placeTenants, placeLocations := masterdata.LocationColumns(places)
	rows := make([]LotBalance, 0, len(keys))
	days := make(map[masterdata.LocationKey]LotDay, len(places))
	err := pg.Each(ctx, tx, lockBalances, func(row *sql.Rows) error {
		var ord int
		var id, firstHeard, lots, warning sql.NullInt64
		var shortfall *event.Decimal
		var day sql.NullString
		if err := row.Scan(&ord, &id, &shortfall, &lots, &firstHeard, &day, &warning); err != nil {
			return err
		}
		if day.Valid {
			if !warning.Valid {
				warning.Int64 = DefaultExpiryWarning
			}
			days[places[ord-1]] = LotDay{event.Date(day.String), int(warning.Int64)}
			return nil
		}
		rows = append(rows, LotBalance{
			PositionKey: keys[ord-1], ID: id.Int64, Shortfall: *shortfall, FirstHeard: firstHeard.Int64,
			lots: int(lots.Int64), shortfall: *shortfall, firstHeard: firstHeard.Int64,
		})
		return nil
	}, tenants, items, locations, placeTenants, placeLocations)
	if err != nil {
		return nil, nil, fmt.Errorf("locking the lots of %d positions: %w", len(keys), err)
	}
	shelves := make(map[masterdata.PositionKey]*LotBalance, len(rows))
	for i := range rows {
		shelves[rows[i].PositionKey] = &rows[i]
	}
	return shelves, days, nil
}

var readLotsSQL = pg.SQL(`
SELECT l.balance_id, l.lot_number, ` + knownExpiry + `, l.quantity, l.received_at
FROM unnest($1::bigint[]) AS b(id) JOIN lot l ON l.balance_id = b.id
ORDER BY l.balance_id, l.expiry, l.received_at, l.lot_number COLLATE "C"`)

// knownExpiry gives ” for an expiry that is not known.
const knownExpiry = `CASE WHEN l.expiry = '-infinity' THEN '' ELSE l.expiry::text END`

// readLots is a statement of its own, after the locks: in one with them it would see what was there before they were had.
func readLots(ctx context.Context, tx store.Tx, shelves map[masterdata.PositionKey]*LotBalance) error {
	byID := map[int64]*LotBalance{}
	ids := pg.NewColumn(len(shelves), 8)
	for _, s := range shelves {
		if s.lots > 0 {
			byID[s.ID] = s
			ids.Integer(s.ID)
		}
	}
	if len(byID) == 0 {
		return nil
	}
	err := pg.Each(ctx, tx, readLotsSQL, func(row *sql.Rows) error {
		var id int64
		var l Lot
		if err := row.Scan(&id, &l.Number, &l.Expiry, &l.Quantity, &l.ReceivedAt); err != nil {
			return err
		}
		l.stored = l.Quantity
		byID[id].Lots = append(byID[id].Lots, &l)
		return nil
	}, ids)
	if err != nil {
		return fmt.Errorf("reading the lots of %d positions: %w", len(byID), err)
	}
	return nil
}
