package lots

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

var writeBalances = pg.SQL(`
UPDATE lot_balance b SET shortfall = n.shortfall, lots = n.lots, first_heard = n.first_heard
FROM unnest($1::bigint[], $2::numeric[], $3::int[], $4::bigint[]) AS n(id, shortfall, lots, first_heard)
WHERE b.id = n.id`)

// An existing lot is updated by its key; only a new one is inserted.
var writeLots = pg.SQL(`
WITH used AS (
    DELETE FROM lot l USING unnest($1::bigint[], $2::text[], $3::date[]) AS u(id, number, expiry)
    WHERE l.balance_id = u.id AND l.lot_number = u.number AND l.expiry = u.expiry
), opened AS (
    INSERT INTO lot (balance_id, lot_number, expiry, tenant_id, location_id, quantity, received_at)
    SELECT n.id, n.number, n.expiry, b.tenant_id, b.location_id, n.quantity, n.received_at
    FROM unnest($4::bigint[], $5::text[], $6::date[], $7::numeric[], $8::timestamptz[]) AS n(id, number, expiry, quantity, received_at)
    JOIN lot_balance b ON b.id = n.id
)
UPDATE lot l SET quantity = n.quantity, received_at = n.received_at
FROM unnest($9::bigint[], $10::text[], $11::date[], $12::numeric[], $13::timestamptz[]) AS n(id, number, expiry, quantity, received_at)
WHERE l.balance_id = n.id AND l.lot_number = n.number AND l.expiry = n.expiry`)

// WriteBalances writes what has changed in balances that this transaction has locked.
func WriteBalances(ctx context.Context, tx store.Tx, balances map[masterdata.PositionKey]*LotBalance) error {
	n := len(balances)
	ids, shortfalls, counts, firstEvent := pg.NewColumn(n, 8), pg.NewColumn(n, 8), pg.NewColumn(n, 2), pg.NewColumn(n, 6)
	used, opened, left := newLotColumns(0), newLotColumns(0), newLotColumns(n)
	for _, s := range balances {
		lots := 0
		for _, l := range s.Lots {
			some, stood := l.Quantity.IsPositive(), l.stored.IsPositive()
			switch {
			case stood && !some:
				used.add(s.ID, l)
			case some && !stood:
				opened.add(s.ID, l)
			case !l.Quantity.Equal(l.stored):
				left.add(s.ID, l)
			}
			if some {
				lots++
			}
		}
		if lots != s.lots || s.FirstEvent != s.firstEvent || !s.Shortfall.Equal(s.shortfall) {
			ids.Integer(s.ID)
			shortfalls.Decimal(s.Shortfall)
			counts.Integer(int64(lots))
			firstEvent.Integer(s.FirstEvent)
		}
	}
	if ids.N > 0 {
		if _, err := pg.Exec(ctx, tx, writeBalances, ids, shortfalls, counts, firstEvent); err != nil {
			return fmt.Errorf("writing the balances of %d positions: %w", ids.N, err)
		}
	}
	if used.ids.N+opened.ids.N+left.ids.N == 0 {
		return nil
	}
	_, err := pg.Exec(ctx, tx, writeLots, used.ids, used.numbers, used.expiries,
		opened.ids, opened.numbers, opened.expiries, opened.quantities, opened.received,
		left.ids, left.numbers, left.expiries, left.quantities, left.received)
	if err != nil {
		return fmt.Errorf("writing the lots of %d positions: %w", n, err)
	}
	return nil
}

type lotColumns struct {
	ids, expiries, quantities, received *pg.Column
	numbers                             *pg.Texts
}

func newLotColumns(n int) lotColumns {
	return lotColumns{pg.NewColumn(n, 8), pg.NewColumn(n, 10), pg.NewColumn(n, 8), pg.NewColumn(n, 28), pg.NewTexts(n, 12)}
}

func (c lotColumns) add(balance int64, l *Lot) {
	c.ids.Integer(balance)
	c.numbers.Add(l.Number)
	c.expiries.Expiry(l.Expiry)
	c.quantities.Decimal(l.Quantity)
	c.received.Time(l.ReceivedAt)
}

var beginDays = pg.SQL(`
INSERT INTO lot_day AS d (tenant_id, location_id, day)
SELECT tenant_id, location_id, day FROM unnest($1::text[], $2::text[], $3::date[]) WITH ORDINALITY AS n(tenant_id, location_id, day, ord) ORDER BY n.ord
ON CONFLICT (tenant_id, location_id) DO UPDATE SET day = excluded.day WHERE d.day < excluded.day
RETURNING d.tenant_id, d.location_id`)

// BeginDays begins a business day at each location, and returns the locations where it did: elsewhere that day or a
// later one has begun already.
func BeginDays(ctx context.Context, tx store.Tx, days map[masterdata.LocationKey]event.Date) (map[masterdata.LocationKey]bool, error) {
	keys := make([]masterdata.LocationKey, 0, len(days))
	for p := range days {
		keys = append(keys, p)
	}
	slices.SortFunc(keys, masterdata.CompareLocationKeys)
	tenants, locations := masterdata.LocationColumns(keys)
	begin := pg.NewColumn(len(keys), 10)
	for _, p := range keys {
		begin.Expiry(days[p])
	}
	begun := map[masterdata.LocationKey]bool{}
	err := pg.Each(ctx, tx, beginDays, func(row *sql.Rows) error {
		var p masterdata.LocationKey
		err := row.Scan(&p.Tenant, &p.Location)
		begun[p] = true
		return err
	}, tenants, locations, begin)
	if err != nil {
		return nil, fmt.Errorf("beginning a business day at %d locations: %w", len(keys), err)
	}
	return begun, nil
}
