package eventlog

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Pending deliveries
//
// A pending delivery is an event that a consumer is subscribed to and has neither handled nor among its dead letters:
// it waits in a queue, or it was lost on the way. The log cannot tell which, but it still has the event, and a second
// copy does no harm.
//
// An event that the relay has not passed is not pending: it will be published in any case. An event that came straight
// over AMQP was published before it was logged.

// PendingDelivery is an event that a consumer has not handled.
type PendingDelivery struct {
	Entry
	Consumer string
}

// Each lookup in the inbox is by key, as in newestPending.
var pendingDeliveries = pg.SQL(`
WITH ` + RelayCursorSQL + `
SELECT e.seq, e.event_id, e.type, e.occurred_at, e.body, c.name
FROM (SELECT seq, epoch, tx, publish, event_id, type, occurred_at, body FROM event_log WHERE seq > $2 AND seq <= $3 ORDER BY seq OFFSET 0) e
CROSS JOIN relay r
JOIN subscription s ON s.type = e.type JOIN consumer c ON c.id = s.consumer JOIN tick t ON t.id = s.from_tick
WHERE c.name = ANY ($1::text[])
  AND NOT ` + SeenBySQL("t.epoch", "t.snapshot") + `
  AND ($5::pg_snapshot IS NULL OR NOT ` + SeenBySQL("$4::int", "$5::pg_snapshot") + `)
  AND (NOT e.publish OR NOT $6 AND ` + PassedByRelaySQL + `)
  AND (SELECT count(*) FROM inbox i
       WHERE i.generation = ANY (` + KeptGenerationsSQL + `) AND i.consumer = s.consumer AND i.event_id = e.event_id) = 0
  AND (SELECT count(*) FROM dead_letter d WHERE d.event_id = e.event_id AND d.consumer = c.name AND ` + failures.StillDeadSQL + `) = 0
  AND (SELECT count(*) FROM unpublishable a WHERE a.seq = e.seq) = 0
  AND NOT ` + ForgottenSQL + `
ORDER BY e.seq, c.name`)

// PendingDeliveries returns, in log order, what is pending for the consumers among the events beyond one log position
// and up to another that lie after a Position; outside keeps only events that came straight over AMQP. It reads every
// event between the two positions: take a few thousand at a time.
func PendingDeliveries(ctx context.Context, db *store.DB, consumers []string, beyond, upto int64, after Position, outside bool) ([]PendingDelivery, error) {
	var pending []PendingDelivery
	err := pg.Each(ctx, db, pendingDeliveries, func(row *sql.Rows) error {
		var d PendingDelivery
		err := row.Scan(&d.Seq, &d.EventID, &d.Type, &d.OccurredAt, &d.Body, &d.Consumer)
		pending = append(pending, d)
		return err
	}, pq.StringArray(consumers), max(beyond, after.Seq), upto, after.Epoch, pg.Nullable(after.Snapshot), outside)
	if err != nil {
		return nil, fmt.Errorf("reading the pending deliveries of %d consumers up to log position %d: %w", len(consumers), upto, err)
	}
	return pending, nil
}
