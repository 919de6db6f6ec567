package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"
)

// Point is a point of the log, as a tick saw it: some events lie before it, whose transactions had ended by then, and all
// others after. Its zero value is the log's beginning.
type Point struct {
	// Seq is a place up to which every event lies before the point: what lies after it, lies beyond this place too.
	Seq int64
	// Snapshot says of each event beyond Seq on which side it lies. Empty: all lie after.
	Snapshot string
}

// beganAfter is a place that no event lies beyond and before the tick p alike: a transaction still open in p's snapshot
// began after the newest tick that is older than all those, and drew its numbers after that tick's seq_before (tick.go).
const beganAfter = `
coalesce((SELECT f.seq_before FROM tick f WHERE f.id <= p.id AND f.tx < pg_snapshot_xmin(p.snapshot) ORDER BY f.id DESC LIMIT 1), 0)`

var pointAt = sqlText(`
SELECT p.snapshot::text AS snapshot, ` + beganAfter + ` AS seq
FROM (SELECT id, snapshot FROM tick WHERE made_at <= $1 ORDER BY id DESC LIMIT 1) p`)

// PointAt gives the last point that was made before a time, by the database's clock. What was committed after that time
// lies after the point.
func (db *DB) PointAt(ctx context.Context, at time.Time) (Point, error) {
	var p Point
	err := db.get(ctx, &p, pointAt, at)
	if errors.Is(err, ErrNotFound) {
		return Point{}, nil
	}
	if err != nil {
		return Point{}, fmt.Errorf("looking for the log's point of %s: %w", at.Format(time.RFC3339), err)
	}
	return p, nil
}

// The oldest generation of the inbox tells how far back it can prove anything: of what was logged before it was opened,
// the rows may be gone. A generation goes only after what it proved was audited.
var owingSince = sqlText(`
WITH oldest AS (
    SELECT generation, opened_at FROM inbox_generation ORDER BY generation LIMIT 1
), point AS (
    SELECT coalesce((SELECT min(s.from_tick) FROM subscription s JOIN consumer c ON c.id = s.consumer WHERE c.name = ANY ($1::text[])),
                    (SELECT max(id) FROM tick)) AS id
    UNION ALL
    SELECT coalesce((SELECT max(t.id) FROM tick t, oldest WHERE oldest.generation > 1 AND t.made_at <= oldest.opened_at), 0)
)
SELECT p.snapshot::text AS snapshot, ` + beganAfter + ` AS seq FROM tick p WHERE p.id = (SELECT max(id) FROM point)`)

// OwingSince gives the point of the log before which the consumers owe nothing that anybody could tell from what they
// have handled: nobody may hold their debts against the inbox from further back.
func (db *DB) OwingSince(ctx context.Context, consumers []string) (Point, error) {
	var p Point
	if err := db.get(ctx, &p, owingSince, pq.StringArray(consumers)); err != nil {
		return Point{}, fmt.Errorf("asking since when %d consumers owe: %w", len(consumers), err)
	}
	return p, nil
}
