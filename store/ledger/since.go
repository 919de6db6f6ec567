package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Moment is a position at a business time.
type Moment struct {
	Position int64
	At       time.Time
}

// Since is what a position's movements after a moment are: their sum, and the time of its next count, zero for none.
type Since struct {
	Quantity  event.Decimal
	NextCount time.Time
}

// The condition on the least time is for the index. The time of a misdated movement is the corrected one.
var movementsSince = pg.SQL(`
SELECT k.ord, coalesce(sum(m.quantity), 0), min(m.at) FILTER (WHERE m.type = 'COUNT')
FROM unnest($1::bigint[], $2::timestamptz[]) WITH ORDINALITY AS k(position_id, at, ord)
LEFT JOIN (SELECT m.position_id, coalesce(x.corrected_to, m.occurred_at) AS at, m.quantity, m.type
           FROM movement m LEFT JOIN misdated_movement x ON x.event_id = m.event_id AND x.line = m.line
           WHERE m.occurred_at > $3::timestamptz AND m.position_id = ANY ($1::bigint[])) m
     ON m.position_id = k.position_id AND m.at > k.at
GROUP BY k.ord`)

// MovementsSince returns what is after each moment. Call it with the positions locked, so that it stays true.
func MovementsSince(ctx context.Context, tx store.Tx, moments []Moment) ([]Since, error) {
	columns, least := pg.NewColumns(2, len(moments)), moments[0].At
	for _, m := range moments {
		columns.Add(m.Position, m.At)
		if m.At.Before(least) {
			least = m.At
		}
	}
	since := make([]Since, len(moments))
	err := pg.Each(ctx, tx, fmt.Sprintf("reading the movements since %d moments", len(moments)), movementsSince, func(row *sql.Rows) error {
		var ord int
		var found Since
		var next sql.NullTime
		if err := row.Scan(&ord, &found.Quantity, &next); err != nil {
			return err
		}
		found.NextCount = next.Time
		since[ord-1] = found
		return nil
	}, append(columns, least)...)
	return since, err
}

var noteCounts = pg.SQL(`
UPDATE position p SET counted_at = n.at FROM unnest($1::bigint[], $2::timestamptz[]) AS n(id, at) WHERE p.id = n.id`)

// NoteCounts writes the time of each position's latest count (Position.CountedAt). This transaction must hold the
// positions' locks.
func NoteCounts(ctx context.Context, tx store.Tx, positions []*Position) error {
	columns := pg.NewColumns(2, len(positions))
	for _, p := range positions {
		columns.Add(p.ID, *p.CountedAt)
	}
	return pg.Write(ctx, tx, fmt.Sprintf("noting the counts of %d positions", len(positions)), noteCounts, columns...)
}
