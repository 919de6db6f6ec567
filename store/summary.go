package store

import (
	"context"
	"fmt"
)

// SummaryLine is one kind of thing that happened, how often, and how many units moved.
type SummaryLine struct {
	What  string `db:"what" json:"what"`
	Count int64  `db:"count" json:"count"`
	Units string `db:"units" json:"units"`
}

var summary = sqlText(`
SELECT what, count, units::text FROM (
    SELECT lower(m.type) AS what, count(*) AS count, sum(m.quantity) AS units
    FROM movement m JOIN position p ON p.id = m.position_id
    WHERE m.line = 0 AND p.tenant_id = $1 GROUP BY m.type
    UNION ALL
    SELECT 'low stock said', count(*), 0 FROM event_log WHERE type = 'INVENTORY_LOW_STOCK' AND tenant_id = $1
) s ORDER BY count DESC, what`)

// Summary tells what has happened to a tenant's stock, by kind of movement. It
// reads the whole ledger: it is for a demo, not for a dashboard.
func (db *DB) Summary(ctx context.Context, tenant string) ([]SummaryLine, error) {
	var lines []SummaryLine
	if err := db.selectAll(ctx, &lines, summary, tenant); err != nil {
		return nil, fmt.Errorf("summing up the movements: %w", err)
	}
	return lines, nil
}
