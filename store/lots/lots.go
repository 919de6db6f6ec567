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

// Lot is what is left of goods of one number and one expiry date at a position.
type Lot struct {
	// Number is "" for the unnamed lot, Expiry is "" when it is not known.
	Number string
	Expiry event.Date
	// Quantity is more than zero; a lot that is used up is deleted when its balance is written.
	Quantity event.Decimal
	// ReceivedAt is the business time of the oldest receipt that the rest may come from.
	ReceivedAt time.Time
	stored     event.Decimal // the quantity in the database
	storedAt   time.Time     // ReceivedAt there
}

// LotBalance is a position's lots, locked by the transaction that read them.
type LotBalance struct {
	masterdata.PositionKey
	ID int64
	// Lots are in the order in which they go out: unknown expiry first, then by date; on one date the oldest receipt
	// first.
	Lots      []*Lot
	Shortfall event.Decimal
	// FirstEvent is the sequence of the first movement seen here; 0: none yet.
	FirstEvent int64

	row        string // the ctid of the locked row
	lots       int    // how many are in the database
	shortfall  event.Decimal
	firstEvent int64
}

// LotDay is a location's calendar: the latest business day that has begun there ("" when none has), and how many days
// before its expiry a lot is reported.
type LotDay struct {
	Day         event.Date
	WarningDays int
}

// defaultExpiryWarning is the expiry_warning_days of a tenant without settings.
const defaultExpiryWarning = 30

// One round trip returns both kinds of rows: balances, and the days of their locations (shelf NULL).
var lockBalances = pg.SQL(`
SELECT s.ord, s.place, s.id, s.shortfall, s.lots, s.first_heard, NULL AS day, NULL AS warning_days FROM (
    SELECT k.ord, p.ctid AS place, p.id, p.shortfall, p.lots, p.first_heard
    FROM ` + masterdata.RowsSQL("lot_balance") + `
    ORDER BY k.ord
    FOR NO KEY UPDATE OF p) s
UNION ALL
SELECT k.ord, NULL, NULL, NULL, NULL, NULL, coalesce(d.day::text, ''), s.expiry_warning_days
FROM unnest($5::text[], $6::text[]) WITH ORDINALITY AS k(tenant_id, location_id, ord)
LEFT JOIN lot_day d USING (tenant_id, location_id)
LEFT JOIN tenant_setting s USING (tenant_id)`)

var missingBalances = pg.SQL(masterdata.MissingRowsSQL("lot_balance"))

var createBalances = pg.SQL(`
INSERT INTO lot_balance (tenant_id, item_id, location_id)
SELECT tenant_id, item_id, location_id FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(tenant_id, item_id, location_id, ord)
ORDER BY k.ord ON CONFLICT DO NOTHING`)

// Balances locks lot balances. It remembers which ones this process has seen, so that new ones are made before any is
// locked (see masterdata.PositionRows). The zero value works.
type Balances struct{ seen masterdata.KnownPositions }

// Lock locks the lot balances of positions, with their lots, for the rest of the transaction, and returns the days of
// their locations. Missing balances are made. The days may be slightly out of date: see BeginDays.
func (s *Balances) Lock(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey) (map[masterdata.PositionKey]*LotBalance, map[masterdata.LocationKey]LotDay, error) {
	var days map[masterdata.LocationKey]LotDay
	balances, err := masterdata.PositionRows[LotBalance]{
		Known: &s.seen, What: "the lot balances of %d positions", Missing: missingBalances,
		Create: func(missing []masterdata.PositionKey) error {
			return pg.Write(ctx, tx, fmt.Sprintf("making the lot balances of %d positions", len(missing)), createBalances, masterdata.KeyColumns(missing)...)
		},
		Lock: func(keys []masterdata.PositionKey, columns pg.Columns) (found map[masterdata.PositionKey]*LotBalance, err error) {
			found, days, err = lockBalanceRows(ctx, tx, keys, columns)
			return found, err
		},
		ID: func(b *LotBalance) int64 { return b.ID },
	}.LockAll(ctx, tx, keys)
	if err != nil {
		return nil, nil, err
	}
	return balances, days, readLots(ctx, tx, balances)
}

func lockBalanceRows(ctx context.Context, tx store.Tx, keys []masterdata.PositionKey, columns pg.Columns) (map[masterdata.PositionKey]*LotBalance, map[masterdata.LocationKey]LotDay, error) {
	places := masterdata.LocationsOf(keys)
	rows := make([]LotBalance, 0, len(keys))
	days := make(map[masterdata.LocationKey]LotDay, len(places))
	err := pg.Each(ctx, tx, fmt.Sprintf("locking the lots of %d positions", len(keys)), lockBalances, func(row *sql.Rows) error {
		var ord int
		var id, firstEvent, lots, warning sql.NullInt64
		var shortfall *event.Decimal
		var place, day sql.NullString
		if err := row.Scan(&ord, &place, &id, &shortfall, &lots, &firstEvent, &day, &warning); err != nil {
			return err
		}
		if day.Valid {
			if !warning.Valid {
				warning.Int64 = defaultExpiryWarning
			}
			days[places[ord-1]] = LotDay{event.Date(day.String), int(warning.Int64)}
			return nil
		}
		rows = append(rows, LotBalance{
			PositionKey: keys[ord-1], ID: id.Int64, Shortfall: *shortfall, FirstEvent: firstEvent.Int64,
			row: place.String, lots: int(lots.Int64), shortfall: *shortfall, firstEvent: firstEvent.Int64,
		})
		return nil
	}, slices.Concat(columns, masterdata.LocationColumns(places))...)
	if err != nil {
		return nil, nil, err
	}
	balances := make(map[masterdata.PositionKey]*LotBalance, len(rows))
	for i := range rows {
		balances[rows[i].PositionKey] = &rows[i]
	}
	return balances, days, nil
}

var readLotsSQL = pg.SQL(`
SELECT l.balance_id, l.lot_number, ` + knownExpiry + `, l.quantity, l.received_at
FROM unnest($1::bigint[]) AS b(id) JOIN lot l ON l.balance_id = b.id
ORDER BY l.balance_id, l.expiry, l.received_at, l.lot_number COLLATE "C"`)

// knownExpiry yields ” for an unknown expiry.
const knownExpiry = `CASE WHEN l.expiry = '-infinity' THEN '' ELSE l.expiry::text END`

// readLots is a statement of its own, after the locks: in one statement with them it would see the state before them.
func readLots(ctx context.Context, tx store.Tx, balances map[masterdata.PositionKey]*LotBalance) error {
	byID := map[int64]*LotBalance{}
	ids := pg.NewColumns(1, len(balances))
	for _, s := range balances {
		if s.lots > 0 {
			byID[s.ID] = s
			ids.Add(s.ID)
		}
	}
	if len(byID) == 0 {
		return nil
	}
	err := pg.Each(ctx, tx, fmt.Sprintf("reading the lots of %d positions", len(byID)), readLotsSQL, func(row *sql.Rows) error {
		var id int64
		var l Lot
		if err := row.Scan(&id, &l.Number, &l.Expiry, &l.Quantity, &l.ReceivedAt); err != nil {
			return err
		}
		l.stored, l.storedAt = l.Quantity, l.ReceivedAt
		byID[id].Lots = append(byID[id].Lots, &l)
		return nil
	}, ids...)
	return err
}
