package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Point is a point of the log, as a tick saw it: some events lie before it, whose transactions had ended by then, and all
// others after. Its zero value is the log's beginning.
type Position struct {
	Epoch int `db:"epoch"`
	// Seq is a place up to which every event lies before the point.
	Seq int64 `db:"seq"`
	// Snapshot says of each event beyond Seq on which side it lies. Empty: all lie after.
	Snapshot string `db:"snapshot"`
}

// beganAfter is a place up to which the tick p has seen every event: a transaction still open in its snapshot began after
// the newest tick that is older than all those, and drew its numbers after that tick had read the sequence (tick.go).
const beganAfter = `
coalesce((SELECT f.seq_before FROM tick f WHERE f.id <= p.id AND (f.epoch < p.epoch OR f.tx < pg_snapshot_xmin(p.snapshot)) ORDER BY f.id DESC LIMIT 1), 0)`

var positionAt = pg.SQL(`
SELECT p.epoch, p.snapshot::text AS snapshot, ` + beganAfter + ` AS seq
FROM (SELECT id, epoch, snapshot FROM tick WHERE made_at <= $1 ORDER BY id DESC LIMIT 1) p`)

// PointAt gives the last point that was made before a time, by the database's clock. What was committed after that time
// lies after the point.
func PositionAt(ctx context.Context, db *store.DB, at time.Time) (Position, error) {
	var p Position
	err := pg.Get(ctx, db, &p, positionAt, at)
	if errors.Is(err, store.ErrNotFound) {
		return Position{}, nil
	}
	if err != nil {
		return Position{}, fmt.Errorf("looking for the log's point of %s: %w", at.Format(time.RFC3339), err)
	}
	return p, nil
}

var pendingSince = pg.SQL(`
SELECT ` + beganAfter + ` FROM tick p
WHERE p.id = coalesce((SELECT min(s.from_tick) FROM subscription s JOIN consumer c ON c.id = s.consumer WHERE c.name = ANY ($1::text[])),
                      (SELECT max(id) FROM tick))`)

// OwingSince gives the place of the log up to which none of the consumers owes anything: they heard nothing yet.
func PendingSince(ctx context.Context, db *store.DB, consumers []string) (place int64, err error) {
	if err := pg.Get(ctx, db, &place, pendingSince, pq.StringArray(consumers)); err != nil {
		return 0, fmt.Errorf("asking since when %d consumers owe: %w", len(consumers), err)
	}
	return place, nil
}
