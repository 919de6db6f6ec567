package lots

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// ExpiringLot is a lot of known expiry that is not used up.
type ExpiringLot struct {
	masterdata.PositionKey
	Balance  int64         `db:"balance_id"`
	Number   string        `db:"lot_number"`
	Expiry   event.Date    `db:"expiry"`
	Quantity event.Decimal `db:"quantity"`
}

var lotsToExpire = pg.SQL(`
SELECT b.tenant_id, b.item_id, b.location_id, b.id AS balance_id, l.lot_number, l.expiry::text AS expiry, l.quantity
FROM unnest($1::text[], $2::text[], $3::date[]) AS u(tenant_id, location_id, until)
JOIN lot l ON l.tenant_id = u.tenant_id AND l.location_id = u.location_id AND l.expiry > '-infinity' AND l.expiry <= u.until
JOIN lot_balance b ON b.id = l.balance_id
WHERE NOT EXISTS (SELECT FROM lot_expiring e WHERE e.balance_id = l.balance_id AND e.lot_number = l.lot_number AND e.expiry = l.expiry)
ORDER BY b.tenant_id, b.location_id, l.expiry, b.item_id, l.lot_number`)

// ToExpire returns the lots that expire at each location by the given day and are not yet noted as expiring. It
// locks nothing.
func ToExpire(ctx context.Context, tx store.Tx, until map[masterdata.LocationKey]event.Date) ([]ExpiringLot, error) {
	ends := pg.NewColumns(3, len(until))
	for p, day := range until {
		ends.Add(p.Tenant, p.Location, pg.Expiry(day))
	}
	return pg.List[ExpiringLot](ctx, tx, fmt.Sprintf("reading the lots that expire at %d locations", len(until)), lotsToExpire, ends...)
}

var noteExpiring = pg.SQL(`
INSERT INTO lot_expiring (balance_id, lot_number, expiry, said_on)
SELECT id, number, expiry, said_on
FROM unnest($1::bigint[], $2::text[], $3::date[], $4::date[]) WITH ORDINALITY AS n(id, number, expiry, said_on, ord)
ORDER BY n.ord
ON CONFLICT DO NOTHING
RETURNING balance_id, lot_number, expiry::text AS expiry`)

// LotName identifies a lot of a position.
type LotName struct {
	Balance int64      `db:"balance_id"`
	Number  string     `db:"lot_number"`
	Expiry  event.Date `db:"expiry"`
}

func compareLotNames(a, b LotName) int {
	return cmp.Or(cmp.Compare(a.Balance, b.Balance), strings.Compare(a.Number, b.Number), strings.Compare(string(a.Expiry), string(b.Expiry)))
}

// NoteExpiring records lots as reported to expire, each with its business day, and returns those recorded for the
// first time: this transaction, and no other, emits their events.
func NoteExpiring(ctx context.Context, tx store.Tx, lots map[LotName]event.Date) (map[LotName]bool, error) {
	columns := pg.NewColumns(4, len(lots))
	for _, n := range slices.SortedFunc(maps.Keys(lots), compareLotNames) {
		columns.Add(n.Balance, n.Number, pg.Expiry(n.Expiry), pg.Expiry(lots[n]))
	}
	return pg.Set[LotName](ctx, tx, fmt.Sprintf("noting %d expiring lots", len(lots)), noteExpiring, columns...)
}
