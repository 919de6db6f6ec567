package store

import (
	"context"
	"fmt"

	"github.com/composerp/composerp/exchange/event"
)

// AuditCounts are how much there was of what the audit looked at.
type AuditCounts struct {
	Events    int64            `json:"events"`    // in the log
	Published int64            `json:"published"` // of those, from here: the others came straight over AMQP
	ByType    map[string]int64 `json:"byType"`
	Consumers []ConsumerCounts `json:"consumers"`
	Movements int64            `json:"movements"`
	Positions int64            `json:"positions"`
	Items     int64            `json:"items"`
	// UnitsNet is what stands at all real locations together.
	UnitsNet event.Decimal `json:"unitsNet"`
}

// ConsumerCounts are what one consumer has done.
type ConsumerCounts struct {
	Consumer string `db:"consumer" json:"consumer"`
	Handled  int64  `db:"handled" json:"handled"`
	Dead     int64  `db:"dead" json:"dead"` // entries in the journal of dead letters
	// Copies are dead letters of events that were handled as well, or died more
	// than once: a crash between a confirm and an ack makes them, and so does redrive.
	Copies int64 `db:"copies" json:"copies"`
}

var auditCountTypes = sqlText(`SELECT type, count(*) AS events, count(*) FILTER (WHERE publish) AS published FROM event_log GROUP BY type ORDER BY type`)

var auditCountConsumers = sqlText(`
WITH handled AS (
    SELECT consumer, count(*) AS n FROM inbox GROUP BY consumer
), dead AS (
    SELECT d.consumer, count(*) AS n, count(*) FILTER (WHERE i.event_id IS NOT NULL OR d.nth > 1) AS copies
    FROM (SELECT consumer, event_id, row_number() OVER (PARTITION BY consumer, event_id, CASE WHEN event_id IS NULL THEN id END ORDER BY recorded_at, id) AS nth
          FROM dead_letter) d
    LEFT JOIN consumer c ON c.name = d.consumer
    LEFT JOIN inbox i ON i.generation IN (SELECT generation FROM inbox_generation) AND i.consumer = c.id AND i.event_id = d.event_id
    GROUP BY d.consumer
)
SELECT coalesce(c.name, d.consumer) AS consumer, coalesce(h.n, 0) AS handled, coalesce(d.n, 0) AS dead, coalesce(d.copies, 0) AS copies
FROM consumer c LEFT JOIN handled h ON h.consumer = c.id FULL JOIN dead d ON d.consumer = c.name ORDER BY 1`)

var auditCountStock = sqlText(`
SELECT (SELECT count(*) FROM movement) AS movements, count(*) AS positions, count(DISTINCT (tenant_id, item_id)) AS items,
       coalesce(sum(on_hand) FILTER (WHERE location_id NOT LIKE '@%'), 0) AS units_net
FROM position WHERE sequence > 0`)

func (tx *Tx) auditCounts(ctx context.Context) (AuditCounts, error) {
	counts := AuditCounts{ByType: map[string]int64{}, Consumers: []ConsumerCounts{}}
	var types []struct {
		Type      string `db:"type"`
		Events    int64  `db:"events"`
		Published int64  `db:"published"`
	}
	if err := tx.selectAll(ctx, &types, auditCountTypes); err != nil {
		return counts, fmt.Errorf("counting the log's events: %w", err)
	}
	for _, t := range types {
		counts.ByType[t.Type] = t.Events
		counts.Events += t.Events
		counts.Published += t.Published
	}
	if err := tx.selectAll(ctx, &counts.Consumers, auditCountConsumers); err != nil {
		return counts, fmt.Errorf("counting what consumers have handled: %w", err)
	}
	var stock struct {
		Movements int64         `db:"movements"`
		Positions int64         `db:"positions"`
		Items     int64         `db:"items"`
		UnitsNet  event.Decimal `db:"units_net"`
	}
	if err := tx.get(ctx, &stock, auditCountStock); err != nil {
		return counts, fmt.Errorf("counting movements and positions: %w", err)
	}
	counts.Movements, counts.Positions, counts.Items, counts.UnitsNet = stock.Movements, stock.Positions, stock.Items, stock.UnitsNet
	return counts, nil
}
