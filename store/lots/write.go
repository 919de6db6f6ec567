package lots

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

var writeBalances = pg.SQL(`
UPDATE lot_balance b SET shortfall = n.shortfall, lots = n.lots, first_heard = n.first_heard
FROM unnest($1::tid[], $2::numeric[], $3::int[], $4::bigint[]) AS n(place, shortfall, lots, first_heard)
WHERE b.ctid = n.place`)

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

// WriteBalances writes what has changed in balances that this transaction has locked, once: their rows are found by
// their places.
func WriteBalances(ctx context.Context, tx store.Tx, balances map[masterdata.PositionKey]*LotBalance) error {
	n := len(balances)
	changed, used, opened, left := pg.NewColumns(4, n), pg.NewColumns(3, 0), pg.NewColumns(5, 0), pg.NewColumns(5, n)
	for _, s := range balances {
		lots := 0
		for _, l := range s.Lots {
			some, stood := l.Quantity.IsPositive(), l.stored.IsPositive()
			switch {
			case stood && !some:
				used.Add(s.ID, l.Number, pg.Expiry(l.Expiry))
			case some && !stood:
				opened.Add(s.ID, l.Number, pg.Expiry(l.Expiry), l.Quantity, l.ReceivedAt)
			case !l.Quantity.Equal(l.stored) || !l.ReceivedAt.Equal(l.storedAt):
				left.Add(s.ID, l.Number, pg.Expiry(l.Expiry), l.Quantity, l.ReceivedAt)
			}
			if some {
				lots++
			}
		}
		if lots != s.lots || s.FirstEvent != s.firstEvent || !s.Shortfall.Equal(s.shortfall) {
			changed.Add(s.row, s.Shortfall, lots, s.FirstEvent)
		}
	}
	if changed.Rows() > 0 {
		written, err := pg.Exec(ctx, tx, writeBalances, changed...)
		if err == nil && written != int64(changed.Rows()) {
			err = fmt.Errorf("%d were written: %w", written, sql.ErrNoRows)
		}
		if err != nil {
			return fmt.Errorf("writing the balances of %d positions: %w", changed.Rows(), err)
		}
	}
	if used.Rows()+opened.Rows()+left.Rows() == 0 {
		return nil
	}
	return pg.Write(ctx, tx, fmt.Sprintf("writing the lots of %d positions", n), writeLots, slices.Concat(used, opened, left)...)
}

var beginDays = pg.SQL(`
INSERT INTO lot_day AS d (tenant_id, location_id, day)
SELECT tenant_id, location_id, day FROM unnest($1::text[], $2::text[], $3::date[]) WITH ORDINALITY AS n(tenant_id, location_id, day, ord) ORDER BY n.ord
ON CONFLICT (tenant_id, location_id) DO UPDATE SET day = excluded.day WHERE d.day < excluded.day
RETURNING d.tenant_id, d.location_id`)

// BeginDays begins a business day at each location, and returns the locations where it did: elsewhere that day or a
// later one has begun already.
func BeginDays(ctx context.Context, tx store.Tx, days map[masterdata.LocationKey]event.Date) (map[masterdata.LocationKey]bool, error) {
	columns := pg.NewColumns(3, len(days))
	for _, p := range slices.SortedFunc(maps.Keys(days), masterdata.CompareLocationKeys) {
		columns.Add(p.Tenant, p.Location, pg.Expiry(days[p]))
	}
	return pg.Set[masterdata.LocationKey](ctx, tx, fmt.Sprintf("beginning a business day at %d locations", len(days)), beginDays, columns...)
}
