package eventlog

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// NewestPending is the newest event that a consumer has still to handle.
type NewestPending struct {
	Seq      int64     `db:"seq"`
	EventID  uuid.UUID `db:"event_id"`
	Type     string    `db:"type"`
	Consumer string    `db:"name"`
}

// The newest is read first: while anything is pending, it most often is.
var newestPending = pg.SQL(`
SELECT e.seq, e.event_id, e.type, c.name
FROM (SELECT seq, event_id, type, epoch, tx FROM event_log WHERE seq > $2 AND seq <= $3 ORDER BY seq DESC OFFSET 0) e` + pendingSQL + `
LIMIT 1`)

// FindNewestPending gives the newest event past one seq of the log and up to another that is pending for one of the
// consumers; nil when none is. Emitted events commit with the inbox row: with nothing pending, nothing more will be
// emitted. It reads the log from since on: call it with a since that moves along.
func FindNewestPending(ctx context.Context, db *store.DB, since, upto int64, consumers []string) (*NewestPending, error) {
	newest, err := pg.List[NewestPending](ctx, db, "looking for the newest pending delivery", newestPending, pq.StringArray(consumers), since, upto)
	if err != nil || len(newest) == 0 {
		return nil, err
	}
	return &newest[0], nil
}

var logEnd = pg.SQL(`SELECT coalesce(pg_sequence_last_value('event_log_seq'), 0)`)

// End is the last number that was drawn for the log. Not every number below it
// is, or will be, an event's.
func End(ctx context.Context, db *store.DB) (int64, error) {
	return pg.One[int64](ctx, db, "reading the log's end", logEnd)
}

var notAdmitted = pg.SQL(`
SELECT e.event_id FROM unnest($1::uuid[]) AS e(event_id)
WHERE NOT EXISTS (SELECT FROM admission a WHERE a.event_id = e.event_id)`)

// NotAdmitted returns those events that the log does not hold from outside.
func NotAdmitted(ctx context.Context, db *store.DB, ids []uuid.UUID) ([]uuid.UUID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return pg.List[uuid.UUID](ctx, db, fmt.Sprintf("looking for %d events in the log", len(ids)), notAdmitted, pg.UUIDs(ids))
}
