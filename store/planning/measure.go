package planning

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// ServiceLevel is how well a tenant's customers were served in a period, and with how much stock.
//
// Sold counts pieces sold, Filled those that were on hand when sold; their quotient is the fill rate (P2 in Silver,
// Pyke and Thomas, Inventory and Production Management in Supply Chains, 4th ed., 6.2). Demand that no till recorded
// is unknown here.
type ServiceLevel struct {
	Sold   event.Decimal `db:"sold" json:"sold"`
	Filled event.Decimal `db:"filled" json:"filled"`
	// StockOuts is how often a sale took the last piece.
	StockOuts int64 `db:"stock_outs" json:"stockOuts"`
	// Stock is the average stock over time, in pieces; Value the same at unit costs, where these are known. Negative
	// stock counts as zero.
	Stock  float64 `db:"stock" json:"averageStock"`
	Value  float64 `db:"value" json:"averageStockValue"`
	Orders int64   `db:"orders" json:"orders"`
	// LowStock is how often stock was reported low.
	LowStock int64 `db:"low_stock" json:"lowStockSaid"`
}

// A position's stock holds from one movement to the next; the part within the period counts. Where business time went
// backwards between two movements it holds for no time.
var measureService = pg.SQL(`
WITH held AS (
    SELECT p.tenant_id, p.item_id, m.type, m.quantity, m.on_hand, m.occurred_at,
           greatest(m.occurred_at, $2::timestamptz) AS since,
           least(coalesce(lead(m.occurred_at) OVER (PARTITION BY m.position_id ORDER BY m.sequence), $3), $3::timestamptz) AS until
    FROM position p JOIN location l USING (tenant_id, location_id) JOIN movement m ON m.position_id = p.id
    WHERE p.tenant_id = $1 AND l.kind = 'stock'
), seconds AS (SELECT extract(epoch FROM $3::timestamptz - $2::timestamptz)::float8 AS n)
SELECT coalesce(sum(-quantity) FILTER (WHERE sold), 0) AS sold,
       coalesce(sum(greatest(0, least(-quantity, on_hand - quantity))) FILTER (WHERE sold), 0) AS filled,
       count(*) FILTER (WHERE sold AND on_hand <= 0 AND on_hand - quantity > 0) AS stock_outs,
       coalesce(sum(stock), 0) / (SELECT n FROM seconds) AS stock,
       coalesce(sum(stock * coalesce(i.unit_cost, 0)::float8), 0) / (SELECT n FROM seconds) AS value,
       (SELECT count(*) FROM purchase_order o WHERE o.tenant_id = $1 AND o.created_at >= $2 AND o.created_at < $3) AS orders,
       (SELECT count(*) FROM event_log e WHERE e.tenant_id = $1 AND e.type = 'INVENTORY_LOW_STOCK' AND e.occurred_at >= $2 AND e.occurred_at < $3) AS low_stock
FROM (SELECT *, type = 'SALE' AND occurred_at >= $2 AND occurred_at < $3 AS sold,
             greatest(on_hand, 0)::float8 * greatest(0, extract(epoch FROM until - since)::float8) AS stock FROM held) h
JOIN item i USING (tenant_id, item_id)`)

// MeasureService measures a tenant between two moments of business time. It reads the whole ledger: use it for a
// summary, not for a dashboard.
func MeasureService(ctx context.Context, db *store.DB, tenant string, from, to time.Time) (ServiceLevel, error) {
	return pg.One[ServiceLevel](ctx, db, fmt.Sprintf("measuring the service level of %s", tenant), measureService, tenant, from, to)
}
