package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Open deliveries
//
// A delivery is an event and a consumer subscribed to it. It is done when the consumer's inbox has the event, or,
// until then, when the event is dead for it. Deliveries not handled are first written to audit_open: the other checks
// excuse those rows, the report calls them in flight, and the next checkpoint carries them over. A dead one stays
// open, for it may be redriven.
//
// One that is parked behind an event that failed is in the database, and never lost.
//
// Which of the others are lost? A fleet at rest has no messages: all of them. Beside the load a message may be in its
// queue, with a consumer, in a retry queue. The caller of Run has observed these and knows, for some consumers, the
// fewest messages at one moment (Scope.Fewest). Deliveries published before the observation began and open after its
// end must have been among those. If they are more than there were messages, the difference is lost; which ones is
// unknown, so the oldest are named.

// subscribedDeliveries are the deliveries of events, by subscription: events that the subscription's first tick has
// not seen.
const subscribedDeliveries = `
    FROM event_log e JOIN subscription s ON s.type = e.type JOIN consumer c ON c.id = s.consumer JOIN tick t ON t.id = s.from_tick
    WHERE NOT `

var subscribedEvents = subscribedDeliveries + eventlog.SeenBySQL("t.epoch", "t.snapshot") + ` AND `

var auditUnhandled = twoVariants(func(w extent) string {
	const columns = `e.seq, e.epoch, e.tx, e.event_id, e.type, e.tenant_id, e.aggregate_id, c.id, c.name`
	return `
WITH delivery AS (
    SELECT ` + columns + subscribedEvents + w.fresh + w.only(`
    UNION ALL
    SELECT `+columns+` FROM audit_open o JOIN consumer c ON c.name = o.consumer JOIN subscription s ON s.consumer = c.id AND s.type = o.type
    CROSS JOIN LATERAL (SELECT * FROM event_log e WHERE e.seq = o.seq OFFSET 0) e
    WHERE o.checkpoint = {before}`) + `
)
INSERT INTO audit_open (checkpoint, consumer, event_id, seq, epoch, tx, type, tenant_id, aggregate_id, dead)
SELECT {now}, e.name, e.event_id, e.seq, e.epoch, e.tx, e.type, e.tenant_id, e.aggregate_id,
       (SELECT count(*) FROM dead_letter d WHERE d.event_id = e.event_id AND d.consumer = e.name AND ` + failures.StillDeadSQL + `) > 0
FROM delivery e LEFT JOIN LATERAL (
    SELECT i.event_id FROM inbox i WHERE i.generation = ANY (` + eventlog.KeptGenerationsSQL + `) AND i.consumer = e.id AND i.event_id = e.event_id ` + w.each + `) i ON true
WHERE i.event_id IS NULL` + w.either(` AND (NOT `+eventlog.ForgottenSQL+` OR EXISTS (
          SELECT FROM audit_open o WHERE o.checkpoint = {before} AND o.consumer = e.name AND o.event_id = e.event_id))`, ``) + `
ON CONFLICT DO NOTHING`
})

// An event straight over AMQP may move stock before intake has logged it.
var auditUnlogged = twoVariants(func(w extent) string {
	return `
INSERT INTO audit_open (checkpoint, consumer, event_id)
SELECT DISTINCT {now}, '` + auditedIntake + `', m.event_id
FROM ` + w.implied + ` m LEFT JOIN LATERAL (SELECT a.seq FROM admission a WHERE a.event_id = m.event_id ` + w.each + `) a ON true
WHERE a.seq IS NULL
ON CONFLICT DO NOTHING`
})

// Fewest bounds how many of a consumer's open deliveries may be messages; without an entry it is 0 at rest and NULL
// beside the load. The lost are an array of positions, and the check of what was open before is a count: as a join,
// the planner, which expects few open deliveries, goes through all of them once for each (seen: for minutes, with a
// growing backlog).
var auditLost = marked(`
UPDATE audit_open SET lost = true
WHERE ctid = ANY (ARRAY(
    SELECT late.row_id
    FROM (SELECT o.ctid AS row_id, o.consumer, row_number() OVER (PARTITION BY o.consumer ORDER BY o.seq, o.event_id) AS nth, count(*) OVER (PARTITION BY o.consumer) AS n
          FROM audit_open o
          WHERE o.checkpoint = {now} AND NOT o.dead AND o.consumer <> '` + eventlog.RelayConsumer + `'
            AND (SELECT count(*) FROM parked_event p WHERE p.consumer = o.consumer AND p.event_id = o.event_id) = 0
            AND CASE WHEN o.seq IS NULL
                THEN (SELECT count(*) FROM audit_open b WHERE b.checkpoint = {before} AND b.consumer = o.consumer AND b.event_id = o.event_id) > 0
                ELSE ` + settled("o") + ` END) late
    LEFT JOIN unnest({consumers}, {fewest}) f(consumer, fewest) ON f.consumer = late.consumer
    WHERE late.nth <= late.n - coalesce(f.fewest, {nowhere})))`)

var auditSubscribed = twoVariants(func(w extent) string {
	return `
SELECT d.name AS consumer, sum(d.n) AS deliveries FROM (
    SELECT c.name, count(*) AS n` + subscribedEvents + w.fresh + ` GROUP BY c.name` + w.only(`
    UNION ALL
    SELECT c.name, count(*) FROM audit_open o JOIN consumer c ON c.name = o.consumer JOIN subscription s ON s.consumer = c.id AND s.type = o.type
    WHERE o.checkpoint = {before} AND o.seq IS NOT NULL GROUP BY c.name`) + `
) d GROUP BY d.name`
})

var auditOpenDeliveries = marked(`
SELECT consumer, count(*) AS unhandled, count(*) FILTER (WHERE dead) AS dead, count(*) FILTER (WHERE lost) AS lost,
       count(*) FILTER (WHERE dead AND type IN (` + movingTypes + `)) AS dead_moving,
       min(seq) FILTER (WHERE NOT dead AND NOT lost) AS oldest
FROM audit_open WHERE checkpoint = {now} GROUP BY consumer ORDER BY consumer`)

// Flight is the deliveries a consumer may still handle: none of them is known to be lost.
type Flight struct {
	Consumer string `json:"consumer"` // or the relay, for events it has still to publish
	Events   int64  `json:"events"`
	// The oldest of them, and when the log got it; unset for events not in the log yet.
	EventID  uuid.UUID `db:"event_id" json:"oldestEventId,omitzero"`
	Type     string    `db:"type" json:"oldestType,omitempty"`
	LoggedAt time.Time `db:"logged_at" json:"oldestLoggedAt,omitzero"`
}

var auditFlight = pg.SQL(`
SELECT e.event_id, e.type, coalesce((SELECT made_at FROM tick WHERE max_seq >= e.seq ORDER BY id LIMIT 1), clock_timestamp()) AS logged_at
FROM event_log e WHERE e.seq = $1`)

// openDeliveries are what is open for one consumer.
type openDeliveries struct {
	Consumer   string `db:"consumer"`
	Unhandled  int64  `db:"unhandled"`
	Dead       int64  `db:"dead"`
	DeadMoving int64  `db:"dead_moving"`
	Lost       int64  `db:"lost"`
	Oldest     *int64 `db:"oldest"`
}

func (o openDeliveries) flying() int64 { return o.Unhandled - o.Dead - o.Lost }

// findOpen records the new movements' events and the open deliveries, and returns the latter by consumer.
func (a *run) findOpen(ctx context.Context) error {
	if a.last != nil {
		if err := a.exec(ctx, auditMoved); err != nil {
			return err
		}
	}
	steps := []variants{auditUnpublished, auditUnhandled}
	if a.scope.Fewest != nil {
		steps = append(steps, auditUnlogged)
	}
	for _, s := range steps {
		if err := a.exec(ctx, a.variant(s)); err != nil {
			return err
		}
	}
	if err := a.exec(ctx, auditLost); err != nil {
		return err
	}
	return a.selectAll(ctx, &a.open, auditOpenDeliveries)
}

// flights returns what is open and not lost, and up to when nothing is.
func (a *run) flights(ctx context.Context) (list []Flight, err error) {
	for _, o := range a.open {
		if o.flying() == 0 {
			continue
		}
		f := Flight{Consumer: o.Consumer, Events: o.flying()}
		if o.Oldest != nil {
			if err := pg.Get(ctx, a.tx, &f, auditFlight, *o.Oldest); err != nil {
				return nil, err
			}
		}
		list = append(list, f)
	}
	return list, nil
}

var auditUpTo = pg.SQL(`SELECT made_at FROM tick WHERE max_seq < $1 ORDER BY id DESC LIMIT 1`)

// upTo is the time of the last tick before which nothing is open.
func (a *run) upTo(ctx context.Context) (time.Time, error) {
	var oldest []int64
	for _, o := range a.open {
		if o.Oldest != nil {
			oldest = append(oldest, *o.Oldest)
		}
	}
	at := a.began.Now
	if len(oldest) == 0 {
		return at, nil
	}
	if err := pg.Get(ctx, a.tx, &at, auditUpTo, slices.Min(oldest)); err != nil {
		return at, fmt.Errorf("finding the tick up to which nothing is open: %w", err)
	}
	return at, nil
}

// fewest returns the scope's numbers as the columns that auditLost takes.
func (s Scope) fewest() (consumers pq.StringArray, fewest pq.Int64Array) {
	consumers, fewest = pq.StringArray{}, pq.Int64Array{}
	for c, n := range s.Fewest {
		consumers, fewest = append(consumers, c), append(fewest, n)
	}
	return consumers, fewest
}
