package stockhistory

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// Stock is what stood at a position at a time. The JSON names are the events'.
type Stock struct {
	Tenant   string        `db:"tenant_id" json:"tenantId"`
	Item     string        `db:"item_id" json:"itemId"`
	ItemName string        `db:"name" json:"itemName,omitempty"`
	Location string        `db:"location_id" json:"locationId"`
	OnHand   event.Decimal `db:"on_hand" json:"onHand"`
	OnOrder  event.Decimal `db:"on_order" json:"onOrder"`
	// LastMovement is the last before that time; nil: it is kept no more.
	LastMovement *time.Time `db:"last_at" json:"lastMovementAt,omitempty"`
}

// The time of a misdated movement is the corrected one.
const movementsSQL = `
movement m LEFT JOIN misdated_movement x ON x.event_id = m.event_id AND x.line = m.line`

const movementTime = `coalesce(x.corrected_to, m.occurred_at)`

var stockAsOf = pg.SQL(`
WITH moved AS (
    SELECT position_id, min(sequence) AS first, count(*) FILTER (WHERE at <= $4) AS earlier, max(at) FILTER (WHERE at <= $4) AS last_at,
           coalesce(sum(quantity) FILTER (WHERE at > $4), 0) AS later
    FROM (SELECT m.position_id, m.sequence, m.quantity, ` + movementTime + ` AS at FROM ` + movementsSQL + `) m GROUP BY position_id)
SELECT p.tenant_id, p.item_id, coalesce(i.name, '') AS name, p.location_id, p.on_hand - m.later AS on_hand, m.last_at,
       coalesce((SELECT sum(b.change) FROM replenishment_state s JOIN on_order_booking b ON b.state_id = s.id
                 WHERE s.tenant_id = p.tenant_id AND s.item_id = p.item_id AND s.location_id = p.location_id AND b.occurred_at <= $4), 0) AS on_order
FROM position p JOIN moved m ON m.position_id = p.id LEFT JOIN item i USING (tenant_id, item_id)
WHERE ($1 = '' OR p.tenant_id = $1) AND ($2 = '' OR p.item_id = $2) AND ($3 = '' OR p.location_id = $3) AND left(p.location_id, 1) <> '@'
  AND (m.earlier > 0 OR m.first > 1)
ORDER BY p.tenant_id, p.item_id, p.location_id`)

// AsOf returns the stock of all positions that had moved by a business time; an empty tenant, item or location selects
// all.
func AsOf(ctx context.Context, db *store.DB, of masterdata.PositionKey, at time.Time) ([]Stock, error) {
	return pg.List[Stock](ctx, db, "reading the stock as of "+at.Format(time.RFC3339), stockAsOf, of.Tenant, of.Item, of.Location, at)
}
