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

// Position is a point of the log as a tick saw it: before it lie the events whose transactions had ended, after it
// all others. Its zero value is the beginning of the log.
type Position struct {
	Epoch int `db:"epoch"`
	// Seq: every event up to this log position lies before the point.
	Seq int64 `db:"seq"`
	// Snapshot decides for each event beyond Seq. Empty: all lie after.
	Snapshot string `db:"snapshot"`
}

// beganAfter is a log position up to which the tick p has seen every event. A transaction still open in its snapshot
// began after the newest tick older than all open ones, and drew its numbers after that tick read the sequence
// (tick.go).
const beganAfter = `
coalesce((SELECT f.seq_before FROM tick f WHERE f.id <= p.id AND (f.epoch < p.epoch OR f.tx < pg_snapshot_xmin(p.snapshot)) ORDER BY f.id DESC LIMIT 1), 0)`

var positionAt = pg.SQL(`
SELECT p.epoch, p.snapshot::text AS snapshot, ` + beganAfter + ` AS seq
FROM (SELECT id, epoch, snapshot FROM tick WHERE made_at <= $1 ORDER BY id DESC LIMIT 1) p`)

// PositionAt returns the last Position made before a time of the database's clock. Events committed after that time
// lie after it.
func PositionAt(ctx context.Context, db *store.DB, at time.Time) (Position, error) {
	p, err := pg.One[Position](ctx, db, "reading the log position of "+at.Format(time.RFC3339), positionAt, at)
	if errors.Is(err, store.ErrNotFound) {
		return Position{}, nil
	}
	return p, err
}

var pendingSince = pg.SQL(`
SELECT ` + beganAfter + ` FROM tick p
WHERE p.id = coalesce((SELECT min(s.from_tick) FROM subscription s JOIN consumer c ON c.id = s.consumer WHERE c.name = ANY ($1::text[])),
                      (SELECT max(id) FROM tick))`)

// PendingSince returns the log position up to which nothing is pending for these consumers: their subscriptions began
// there.
func PendingSince(ctx context.Context, db *store.DB, consumers []string) (seq int64, err error) {
	return pg.One[int64](ctx, db, fmt.Sprintf("reading since when deliveries of %d consumers can be pending", len(consumers)), pendingSince, pq.StringArray(consumers))
}
