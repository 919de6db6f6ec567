package stockview

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

var lastMovementAt = pg.SQL(`SELECT max(last_movement_at) FROM stock WHERE tenant_id = $1`)

// LastBusinessDate is the day of a tenant's latest movement in the stock read model, by the zone's calendar; "" when
// there is none.
func LastBusinessDate(ctx context.Context, db *store.DB, tenant string, zone *time.Location) (event.Date, error) {
	var at *time.Time
	if err := pg.Get(ctx, db, &at, lastMovementAt, tenant); err != nil {
		return "", fmt.Errorf("reading the last movement of %s: %w", tenant, err)
	}
	if at == nil {
		return "", nil
	}
	return masterdata.BusinessDate(*at, zone), nil
}

// TenantSummary counts a tenant's positions and orders.
type TenantSummary struct {
	Low      int64 `db:"low" json:"low"`           // positions below their threshold
	Out      int64 `db:"out" json:"out"`           // positions with a rule and nothing on hand
	Watched  int64 `db:"watched" json:"watched"`   // positions with a rule
	Waiting  int64 `db:"waiting" json:"waiting"`   // orders that a person must decide
	Unsent   int64 `db:"unsent" json:"unsent"`     // approved, and not yet confirmed by the supplier
	Sent     int64 `db:"sent" json:"sent"`         // confirmed, and not completely received
	Received int64 `db:"received" json:"received"` // completely received
	Rejected int64 `db:"rejected" json:"rejected"` // cancelled
}

// Ordered is the number of orders in all.
func (p TenantSummary) Ordered() int64 {
	return p.Waiting + p.Unsent + p.Sent + p.Received + p.Rejected
}

// summaryOf counts positions by rules, and orders by lines, each of a condition on the tenant.
func summaryOf(condition string) string {
	return `
SELECT s.*, o.* FROM (
    SELECT count(*) FILTER (WHERE p.on_hand - p.reserved < r.low_stock_threshold) AS low, count(*) FILTER (WHERE p.on_hand <= 0) AS out, count(*) AS watched
    FROM replenishment_rule r JOIN position p USING (tenant_id, item_id, location_id) WHERE ` + condition + `) s, (
    SELECT count(*) FILTER (WHERE o.status = 'PENDING') AS waiting,
           count(*) FILTER (WHERE o.status = 'APPROVED' AND l.open AND d.sent_at IS NULL) AS unsent,
           count(*) FILTER (WHERE o.status = 'APPROVED' AND l.open AND d.sent_at IS NOT NULL) AS sent,
           count(*) FILTER (WHERE o.status = 'APPROVED' AND NOT l.open) AS received,
           count(*) FILTER (WHERE o.status = 'CANCELLED') AS rejected
    FROM (SELECT tenant_id, purchase_order_id, bool_or(open) AS open FROM purchase_order_line WHERE ` + condition + ` GROUP BY 1, 2) l
    JOIN purchase_order o USING (tenant_id, purchase_order_id)
    LEFT JOIN dispatch d USING (tenant_id, purchase_order_id)) o`
}

var (
	tenantSummary = pg.SQL(summaryOf(`tenant_id = $1`))
	summary       = pg.SQL(summaryOf(`true`))
)

// SummarizeTenant counts a tenant's positions and orders. It reads every position with a rule and every order: some
// milliseconds for a thousand of them.
func SummarizeTenant(ctx context.Context, db *store.DB, tenant string) (TenantSummary, error) {
	return pg.One[TenantSummary](ctx, db, fmt.Sprintf("summarizing tenant %s", tenant), tenantSummary, tenant)
}

// Summarize is SummarizeTenant of all tenants together.
func Summarize(ctx context.Context, db *store.DB) (TenantSummary, error) {
	return pg.One[TenantSummary](ctx, db, "summarizing positions and orders", summary)
}
