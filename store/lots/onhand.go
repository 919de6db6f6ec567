package lots

import (
	"context"
	"database/sql"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// OnHandLots is a position with lots or a shortfall, for a planner.
type OnHandLots struct {
	Tenant   string `json:"tenantId"`
	Item     string `json:"itemId"`
	ItemName string `json:"itemName,omitempty"`
	Location string `json:"locationId"`
	// Day is the business day that has begun at the location; days left count from it.
	Day event.Date `json:"businessDay"`
	// Shortfall is what went out beyond the lots. The sum of Lots less it is on hand.
	Shortfall event.Decimal `json:"shortfall"`
	Lots      []LotOnHand   `json:"lots"`
}

// LotOnHand is what is left of a lot.
type LotOnHand struct {
	// Number is "" for the unnamed lot.
	Number string `json:"lotNumber"`
	// Expiry and DaysLeft are nil when the expiry is not known.
	Expiry   *event.Date `json:"expiryDate"`
	DaysLeft *int        `json:"daysLeft"`
	// Expiring means that the expiry is within the tenant's expiry_warning_days.
	Expiring   bool          `json:"expiring"`
	Quantity   event.Decimal `json:"quantity"`
	ReceivedAt time.Time     `json:"receivedAt"`
}

var onHandLots = pg.SQL(`
SELECT b.tenant_id, b.item_id, coalesce(i.name, ''), b.location_id, coalesce(d.day::text, ''), b.shortfall,
       l.lot_number, nullif(` + knownExpiry + `, ''), CASE WHEN l.expiry > '-infinity' THEN l.expiry - d.day END,
       coalesce(l.expiry > '-infinity' AND l.expiry - d.day <= coalesce(s.expiry_warning_days, $4), false), l.quantity, l.received_at
FROM lot_balance b
LEFT JOIN lot l ON l.balance_id = b.id
LEFT JOIN item i ON i.tenant_id = b.tenant_id AND i.item_id = b.item_id
LEFT JOIN lot_day d ON d.tenant_id = b.tenant_id AND d.location_id = b.location_id
LEFT JOIN tenant_setting s ON s.tenant_id = b.tenant_id
WHERE ($1 = '' OR b.tenant_id = $1) AND ($2 = '' OR b.item_id = $2) AND ($3 = '' OR b.location_id = $3) AND (b.lots > 0 OR b.shortfall > 0)
ORDER BY b.tenant_id, b.item_id, b.location_id, l.expiry, l.received_at, l.lot_number COLLATE "C"`)

// OnHand reads the lots, in the order in which they go out; an empty tenant, item or location selects all.
func OnHand(ctx context.Context, db *store.DB, of masterdata.PositionKey) ([]OnHandLots, error) {
	list := []OnHandLots{}
	err := pg.Each(ctx, db, "reading the lots", onHandLots, func(row *sql.Rows) error {
		var s OnHandLots
		var number *string
		var quantity *event.Decimal
		var received *time.Time
		var l LotOnHand
		if err := row.Scan(&s.Tenant, &s.Item, &s.ItemName, &s.Location, &s.Day, &s.Shortfall,
			&number, &l.Expiry, &l.DaysLeft, &l.Expiring, &quantity, &received); err != nil {
			return err
		}
		n := len(list)
		if n == 0 || list[n-1].key() != s.key() {
			s.Lots = []LotOnHand{}
			list = append(list, s)
			n++
		}
		if number != nil {
			l.Number, l.Quantity, l.ReceivedAt = *number, *quantity, *received
			list[n-1].Lots = append(list[n-1].Lots, l)
		}
		return nil
	}, of.Tenant, of.Item, of.Location, defaultExpiryWarning)
	return list, err
}

func (s *OnHandLots) key() masterdata.PositionKey {
	return masterdata.PositionKey{Tenant: s.Tenant, Item: s.Item, Location: s.Location}
}
