package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/internal/pg"
)

// NewestPending is the newest event that a consumer has not handled.
type NewestPending struct {
	Seq      int64     `db:"seq"`
	EventID  uuid.UUID `db:"event_id"`
	Type     string    `db:"type"`
	Consumer string    `db:"name"`
}

// The newest is looked up first: while anything is pending, usually the newest is. The counts keep each lookup by key:
// the planner turns NOT EXISTS into a join and reads the whole inbox.
var newestPending = pg.SQL(`
SELECT e.seq, e.event_id, e.type, c.name
FROM (SELECT seq, event_id, type, epoch, tx FROM event_log WHERE seq > $1 AND seq <= $3 ORDER BY seq DESC OFFSET 0) e
JOIN subscription s ON s.type = e.type JOIN consumer c ON c.id = s.consumer JOIN tick t ON t.id = s.from_tick
WHERE c.name = ANY ($2::text[])
  AND NOT ` + SeenBySQL("t.epoch", "t.snapshot") + `
  AND (SELECT count(*) FROM inbox i
       WHERE i.generation = ANY (` + KeptGenerationsSQL + `) AND i.consumer = s.consumer AND i.event_id = e.event_id) = 0
  AND (SELECT count(*) FROM dead_letter d WHERE d.event_id = e.event_id AND d.consumer = c.name AND ` + failures.StillDeadSQL + `) = 0
  AND NOT ` + ForgottenSQL + `
LIMIT 1`)

// FindNewestPending returns the newest event past one log position and up to another that one of the consumers has
// neither handled nor among its dead letters; nil when nothing is pending. Events before a subscription do not count,
// nor do forgotten ones: they were proven. Emitted events commit with the inbox row, so with nothing pending, nothing
// more will be emitted. It reads the log from the first position on: for a caller that follows the log.
func FindNewestPending(ctx context.Context, db *store.DB, since, upto int64, consumers []string) (*NewestPending, error) {
	var newest NewestPending
	err := pg.Get(ctx, db, &newest, newestPending, since, pq.StringArray(consumers), upto)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the newest pending delivery: %w", err)
	}
	return &newest, nil
}

var logEnd = pg.SQL(`SELECT coalesce(pg_sequence_last_value('event_log_seq'), 0)`)

// End is the last number drawn for the log. Not every number below it is, or will be, an event's.
func End(ctx context.Context, db *store.DB) (int64, error) {
	var end int64
	if err := pg.Get(ctx, db, &end, logEnd); err != nil {
		return 0, fmt.Errorf("reading the log's end: %w", err)
	}
	return end, nil
}

var notAdmitted = pg.SQL(`
SELECT e.event_id FROM unnest($1::uuid[]) AS e(event_id)
WHERE NOT EXISTS (SELECT FROM admission a WHERE a.event_id = e.event_id)`)

// NotAdmitted returns those events that the log does not hold from outside.
func NotAdmitted(ctx context.Context, db *store.DB, ids []uuid.UUID) ([]uuid.UUID, error) {
	var missing []uuid.UUID
	if len(ids) == 0 {
		return nil, nil
	}
	if err := pg.Select(ctx, db, &missing, notAdmitted, pg.UUIDs(ids)); err != nil {
		return nil, fmt.Errorf("looking for %d events in the log: %w", len(ids), err)
	}
	return missing, nil
}
