package delays

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Life and Most bound what is kept: a row is that of a batch.
const (
	Life = 14 * 24 * time.Hour
	Most = 50_000
)

// Late is a delivery that was late: its event, and the time in each stage.
type Late struct {
	EventID uuid.UUID
	Times   delay.Times
}

var record = pg.SQL(`INSERT INTO delivery_delay (consumer, handled_at, event_ids, stages) VALUES ($1, $2, $3::uuid[], $4::bigint[])`)

// Record keeps late deliveries that a consumer handles in this transaction, which ends about at.
func Record(ctx context.Context, tx store.Tx, consumer string, at time.Time, late []Late) error {
	ids, stages := pg.NewColumn(len(late), 36), pg.NewColumn(len(late)*delay.Stages, 4)
	for i := range late {
		ids.UUID(late[i].EventID)
		for s := range delay.Stages {
			stages.Integer(late[i].Times.In(delay.Stage(s)).Microseconds())
		}
	}
	return pg.Write(ctx, tx, fmt.Sprintf("keeping the times of %d late deliveries", len(late)), record, consumer, at, ids, stages)
}

// As many numbers belong to each event as its version had stages.
var kept = pg.SQL(`
SELECT d.consumer, d.handled_at, d.stages[(m.ord - 1) * w.width + 1 : m.ord * w.width] AS stages
FROM delivery_delay d CROSS JOIN LATERAL (SELECT cardinality(d.stages) / cardinality(d.event_ids) AS width) w
CROSS JOIN LATERAL unnest(d.event_ids) WITH ORDINALITY AS m(id, ord)
WHERE d.event_ids @> ARRAY[$1::uuid] AND m.id = $1
ORDER BY d.id DESC`)

// handled is what is kept of one delivery.
type handled struct {
	at     time.Time
	stages []Spent
}

// of gives what is kept of an event's deliveries, by consumer: of several the first.
func of(ctx context.Context, db *store.DB, id uuid.UUID) (map[string]handled, error) {
	found := map[string]handled{}
	err := pg.Each(ctx, db, fmt.Sprintf("reading the times of event %s", id), kept, func(row *sql.Rows) error {
		var consumer string
		var h handled
		var stages pq.Int64Array
		if err := row.Scan(&consumer, &h.at, &stages); err != nil {
			return err
		}
		h.stages = spent(stages)
		found[consumer] = h
		return nil
	}, id)
	return found, err
}

var newest = pg.SQL(`
SELECT m.id, d.consumer, d.handled_at, d.stages[(m.ord - 1) * w.width + 1 : m.ord * w.width] AS stages
FROM (SELECT consumer, handled_at, event_ids, stages, id FROM delivery_delay ORDER BY id DESC LIMIT $1) d
CROSS JOIN LATERAL (SELECT cardinality(d.stages) / cardinality(d.event_ids) AS width) w
CROSS JOIN LATERAL unnest(d.event_ids) WITH ORDINALITY AS m(id, ord)
ORDER BY d.id DESC, m.ord LIMIT $1`)

// Newly is a delivery that was late.
type Newly struct {
	EventID   uuid.UUID `json:"eventId"`
	Consumer  string    `json:"consumer"`
	Queue     string    `json:"queue"`
	HandledAt time.Time `json:"handledAt"`
	Seconds   float64   `json:"seconds"` // the sum of the stages
	Widest    string    `json:"widest"`  // the stage that took most
}

// Newest lists the deliveries that were late, the last one first; limit 0 lists all that are kept.
func Newest(ctx context.Context, db *store.DB, limit int) ([]Newly, error) {
	list := []Newly{}
	err := pg.Each(ctx, db, "listing late deliveries", newest, func(row *sql.Rows) error {
		var n Newly
		var stages pq.Int64Array
		if err := row.Scan(&n.EventID, &n.Consumer, &n.HandledAt, &stages); err != nil {
			return err
		}
		var d Delivery
		d.add(spent(stages)...)
		n.Queue, n.Seconds, n.Widest = topology.QueueName(n.Consumer), d.Seconds, d.Widest
		list = append(list, n)
		return nil
	}, pg.AtMost(limit))
	return list, err
}

// spent reads stages as they are kept.
func spent(kept pq.Int64Array) (stages []Spent) {
	for s, micros := range kept[:min(len(kept), delay.Stages)] {
		stages = append(stages, Spent{Stage: delay.Stage(s).String(), Seconds: float64(micros) / 1e6})
	}
	return stages
}

var thin = pg.SQL(`
WITH oldest AS (SELECT id, handled_at FROM delivery_delay ORDER BY id LIMIT $1)
DELETE FROM delivery_delay d USING oldest o
WHERE d.id = o.id AND (o.handled_at < clock_timestamp() - make_interval(secs => $2) OR d.id <= (SELECT max(id) FROM delivery_delay) - $3::bigint)`)

const thinAtOnce = 5000

// Thin deletes rows older than life and those beyond the newest most.
func Thin(ctx context.Context, db *store.DB, life time.Duration, most int64) error {
	for gone := int64(thinAtOnce); gone == thinAtOnce; {
		err := db.InTx(ctx, func(tx store.Tx) (err error) {
			gone, err = pg.Exec(ctx, tx, thin, thinAtOnce, life.Seconds(), most)
			return err
		})
		if err != nil {
			return fmt.Errorf("thinning out the times of late deliveries: %w", err)
		}
	}
	return nil
}

// What waits for a lock of its own pool's sessions, by the server's clock.
var lockWaits = pg.SQL(`
SELECT l.pid, l.waitstart AS since, extract(epoch FROM clock_timestamp() - l.waitstart) AS seconds
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE NOT l.granted AND l.waitstart IS NOT NULL AND a.datname = current_database() AND a.application_name = current_setting('application_name')`)

// LockWait is a session that waits for a lock now.
type LockWait struct {
	Session int       `db:"pid"`
	Since   time.Time `db:"since"`
	Seconds float64   `db:"seconds"`
}

// LockWaits gives the sessions with this pool's name that wait for a lock now.
func LockWaits(ctx context.Context, db *store.DB) ([]LockWait, error) {
	return pg.List[LockWait](ctx, db, "reading who waits for locks", lockWaits)
}

var session = pg.SQL(`SELECT pg_backend_pid()`)

// Session is the session of a transaction, as LockWaits names it.
func Session(ctx context.Context, tx store.Tx) (int, error) {
	return pg.One[int](ctx, tx, "asking which session this is", session)
}
