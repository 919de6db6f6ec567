package stockview

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

// Stock is a row of the stock read model: a position as of its last INVENTORY_UPDATED. The JSON names are the events'.
type Stock struct {
	Tenant       string        `db:"tenant_id" json:"tenantId"`
	Item         string        `db:"item_id" json:"itemId"`
	ItemName     string        `db:"name" json:"itemName,omitempty"`
	Location     string        `db:"location_id" json:"locationId"`
	OnHand       event.Decimal `db:"on_hand" json:"onHand"`
	Reserved     event.Decimal `db:"reserved" json:"reserved"`
	Available    event.Decimal `db:"available" json:"available"`
	Sequence     int64         `db:"sequence" json:"sequence"`
	LastMovement time.Time     `db:"last_movement_at" json:"lastMovementAt"`
	LastType     string        `db:"last_movement_type" json:"lastMovementType"`
	// Low means that available is below the threshold of the last low-stock report.
	Low bool `db:"low" json:"low"`
}

func (s *Stock) key() masterdata.PositionKey {
	return masterdata.PositionKey{Tenant: s.Tenant, Item: s.Item, Location: s.Location}
}

// A row never goes back: of two events the one with the higher sequence stays, in whatever order they come.
var updateStock = pg.SQL(`
INSERT INTO stock AS s (tenant_id, item_id, location_id, on_hand, reserved, available, sequence, last_movement_at, last_movement_type)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::numeric[], $7::bigint[], $8::timestamptz[], $9::text[])
ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE
SET on_hand = excluded.on_hand, reserved = excluded.reserved, available = excluded.available, sequence = excluded.sequence,
    last_movement_at = excluded.last_movement_at, last_movement_type = excluded.last_movement_type
WHERE s.sequence < excluded.sequence`)

// UpdateStock writes rows of the read model, at most one a position, in key order.
func UpdateStock(ctx context.Context, tx store.Tx, rows []Stock) error {
	slices.SortFunc(rows, func(a, b Stock) int { return masterdata.ComparePositionKeys(a.key(), b.key()) })
	columns := pg.NewColumns(9, len(rows))
	for i := range rows {
		r := &rows[i]
		columns.Add(r.Tenant, r.Item, r.Location, r.OnHand, r.Reserved, r.Available, r.Sequence, r.LastMovement, r.LastType)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("updating %d rows of the stock read model", len(rows)), updateStock, columns...)
}

// LowStock is a low-stock report of a position.
type LowStock struct {
	masterdata.PositionKey
	Threshold  event.Decimal
	Sequence   int64
	OccurredAt time.Time
}

var noteLowStock = pg.SQL(`
INSERT INTO low_stock AS l (tenant_id, item_id, location_id, threshold, sequence, said_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::bigint[], $6::timestamptz[])
ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE
SET threshold = excluded.threshold, sequence = excluded.sequence, said_at = excluded.said_at
WHERE l.sequence < excluded.sequence`)

// NoteLowStock stores the newest report of each position, at most one given a position, in key order.
func NoteLowStock(ctx context.Context, tx store.Tx, reports []LowStock) error {
	slices.SortFunc(reports, func(a, b LowStock) int { return masterdata.ComparePositionKeys(a.PositionKey, b.PositionKey) })
	columns := pg.NewColumns(6, len(reports))
	for i := range reports {
		r := &reports[i]
		columns.Add(r.Tenant, r.Item, r.Location, r.Threshold, r.Sequence, r.OccurredAt)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("noting low stock of %d positions", len(reports)), noteLowStock, columns...)
}

var stockRows = pg.SQL(`
SELECT s.tenant_id, s.item_id, coalesce(i.name, '') AS name, s.location_id, s.on_hand, s.reserved, s.available, s.sequence,
       s.last_movement_at, s.last_movement_type, coalesce(s.available < l.threshold, false) AS low
FROM stock s LEFT JOIN item i USING (tenant_id, item_id) LEFT JOIN low_stock l USING (tenant_id, item_id, location_id)
WHERE ($1 = '' OR s.tenant_id = $1) AND ($2 = '' OR s.item_id = $2) AND ($3 = '' OR s.location_id = $3)
ORDER BY s.tenant_id, s.item_id, s.location_id`)

// StockRows reads the read model; an empty tenant, item or location selects all.
func StockRows(ctx context.Context, db *store.DB, of masterdata.PositionKey) ([]Stock, error) {
	return pg.List[Stock](ctx, db, "reading the stock", stockRows, of.Tenant, of.Item, of.Location)
}

var stockAfter = pg.SQL(`
SELECT s.tenant_id, s.item_id, coalesce(i.name, '') AS name, s.location_id, s.on_hand, s.reserved, s.available, s.sequence,
       s.last_movement_at, s.last_movement_type, coalesce(s.available < l.threshold, false) AS low
FROM stock s LEFT JOIN item i USING (tenant_id, item_id) LEFT JOIN low_stock l USING (tenant_id, item_id, location_id)
WHERE s.tenant_id = $1 AND (s.item_id, s.location_id) > ($2, $3) AND ($4 = '' OR s.item_id = $4) AND ($5 = '' OR s.location_id = $5)
ORDER BY s.item_id, s.location_id LIMIT $6`)

// StockAfter reads at most limit positions of the tenant of, by item and location, beyond a position of the same
// tenant; the zero position is before all. An empty item or location of of selects all.
func StockAfter(ctx context.Context, db *store.DB, of, beyond masterdata.PositionKey, limit int) ([]Stock, error) {
	return pg.List[Stock](ctx, db, "reading a page of the stock", stockAfter, of.Tenant, beyond.Item, beyond.Location, of.Item, of.Location, limit)
}
