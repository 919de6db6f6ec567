package trace

import (
	"context"
	"database/sql"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/internal/pg"
)

// The state of each delivery of the events at some places of the log, by eventlog's pending deliveries.
var states = pg.SQL(`
WITH ` + eventlog.RelayCursorSQL + `
SELECT e.seq, c.name, CASE
    WHEN EXISTS (SELECT FROM inbox i WHERE i.generation = ANY (` + eventlog.KeptGenerationsSQL + `) AND i.consumer = s.consumer AND i.event_id = e.event_id) THEN 'handled'
    WHEN EXISTS (SELECT FROM parked_event p WHERE p.consumer = c.name AND p.event_id = e.event_id) THEN 'parked'
    WHEN d.discarded THEN 'discarded' WHEN d.quarantined THEN 'quarantined' WHEN d.discarded IS NOT NULL THEN 'dead'
    WHEN ` + eventlog.ForgottenSQL + ` THEN 'handled'
    WHEN EXISTS (SELECT FROM unpublishable u WHERE u.seq = e.seq) THEN 'unpublishable'
    WHEN e.publish AND NOT ` + eventlog.PassedByRelaySQL + ` THEN 'unpublished'
    ELSE coalesce((SELECT f.outcome FROM failure f WHERE f.event_id = e.event_id AND f.consumer = c.name AND f.outcome IN ('deferred', 'retried')
                   ORDER BY f.id DESC LIMIT 1), 'waiting') END
FROM (SELECT seq, epoch, tx, publish, event_id, type FROM event_log WHERE seq = ANY ($1::bigint[])) e CROSS JOIN relay r
JOIN subscription s ON s.type = e.type JOIN consumer c ON c.id = s.consumer JOIN tick t ON t.id = s.from_tick
LEFT JOIN LATERAL (
    SELECT d.discarded_at IS NOT NULL AS discarded, d.quarantine <> '' AS quarantined FROM dead_letter d
    WHERE d.event_id = e.event_id AND d.consumer = c.name AND ` + failures.StillDeadSQL + ` ORDER BY d.discarded_at IS NULL DESC, d.recorded_at DESC LIMIT 1) d ON true
WHERE NOT ` + eventlog.SeenBySQL("t.epoch", "t.snapshot") + `
ORDER BY e.seq, c.name`)

var tries = pg.SQL(`
SELECT event_id, consumer, attempt, failed_at, outcome, error, dependency, class FROM failure WHERE event_id = ANY ($1::uuid[]) ORDER BY id`)

// deliveries adds to events where their deliveries are.
func deliveries(ctx context.Context, db *store.DB, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	at := make(map[int64]*Event, len(events))
	places := make(pq.Int64Array, len(events))
	for i := range events {
		events[i].Deliveries = []Delivery{}
		at[events[i].Seq], places[i] = &events[i], events[i].Seq
	}
	err := pg.Each(ctx, db, "reading where deliveries are", states, func(row *sql.Rows) error {
		var seq int64
		var d Delivery
		err := row.Scan(&seq, &d.Consumer, &d.State)
		if err == nil {
			at[seq].Deliveries = append(at[seq].Deliveries, d)
		}
		return err
	}, places)
	if err != nil {
		return err
	}
	return addTries(ctx, db, events)
}

func addTries(ctx context.Context, db *store.DB, events []Event) error {
	by := make(map[uuid.UUID]*Event, len(events))
	ids := make([]uuid.UUID, len(events))
	for i := range events {
		by[events[i].ID], ids[i] = &events[i], events[i].ID
	}
	return pg.Each(ctx, db, "reading the failures of events", tries, func(row *sql.Rows) error {
		var id uuid.UUID
		var consumer string
		var t Try
		if err := row.Scan(&id, &consumer, &t.Attempt, &t.FailedAt, &t.Outcome, &t.Error, &t.Dependency, &t.Class); err != nil {
			return err
		}
		list := by[id].Deliveries
		for i := range list {
			if list[i].Consumer == consumer {
				list[i].Tries = append(list[i].Tries, t)
			}
		}
		return nil
	}, pg.UUIDs(ids))
}
