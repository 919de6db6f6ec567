package eventlog

import (
	"context"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
)

// # Pending deliveries
//
// A pending delivery is an event and a consumer that subscribed to its type before it was logged and has neither
// handled it nor has it among its dead letters, or parked behind one: it waits in a queue, or it was lost on the way.
// The log cannot tell which of the two, but it still has the event, and a second copy does no harm. Where the inbox
// has forgotten, a checkpoint has proven the delivery before, and it is not pending.

// PendingDelivery is an event that a consumer has still to handle.
type PendingDelivery struct {
	Entry
	Consumer string     `db:"consumer"`
	Logged   *time.Time `db:"logged_at"` // nil for an event of the version before
}

// pendingSQL are the joins and conditions of a pending delivery of the event e to one of the consumers $1. The counts
// keep each look into inbox and dead letters one by a key: of NOT EXISTS the planner makes a join that reads the
// whole inbox.
var pendingSQL = `
JOIN subscription s ON s.type = e.type JOIN consumer c ON c.id = s.consumer JOIN tick t ON t.id = s.from_tick
WHERE c.name = ANY ($1::text[])
  AND NOT ` + SeenBySQL("t.epoch", "t.snapshot") + `
  AND (SELECT count(*) FROM inbox i
       WHERE i.generation = ANY (` + KeptGenerationsSQL + `) AND i.consumer = s.consumer AND i.event_id = e.event_id) = 0
  AND (SELECT count(*) FROM dead_letter d WHERE d.event_id = e.event_id AND d.consumer = c.name AND ` + failures.StillDeadSQL + `) = 0
  AND (SELECT count(*) FROM parked_event p WHERE p.consumer = c.name AND p.event_id = e.event_id) = 0
  AND NOT ` + ForgottenSQL

// The relay will publish what it has not passed. Events that came straight over AMQP were published when they were
// logged.
var pendingDeliveries = pg.SQL(`
WITH ` + RelayCursorSQL + `
SELECT e.seq, e.event_id, e.type, e.occurred_at, e.logged_at, e.body, c.name AS consumer
FROM (SELECT seq, epoch, tx, publish, event_id, type, occurred_at, logged_at, body FROM event_log WHERE seq > $2 AND seq <= $3 ORDER BY seq OFFSET 0) e
CROSS JOIN relay r` + pendingSQL + `
  AND ($5::pg_snapshot IS NULL OR NOT ` + SeenBySQL("$4::int", "$5::pg_snapshot") + `)
  AND (NOT e.publish OR NOT $6 AND ` + PassedByRelaySQL + `)
  AND (SELECT count(*) FROM unpublishable a WHERE a.seq = e.seq) = 0
ORDER BY e.seq, c.name`)

// PendingDeliveries gives, in the log's order, the pending deliveries to the consumers of the published events beyond
// one seq and up to another that entered the log after a position. outside leaves only events that came straight over
// AMQP. It reads everything between the two: take a few thousand at a time.
func PendingDeliveries(ctx context.Context, db *store.DB, consumers []string, beyond, upto int64, after Position, outside bool) ([]PendingDelivery, error) {
	return pg.List[PendingDelivery](ctx, db, fmt.Sprintf("reading the pending deliveries of %d consumers up to place %d of the log", len(consumers), upto),
		pendingDeliveries, pq.StringArray(consumers), max(beyond, after.Seq), upto, after.Epoch, sqlvalue.Nullable(after.Snapshot), outside)
}
