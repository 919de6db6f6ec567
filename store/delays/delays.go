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
	"github.com/composerp/composerp/store/internal/sqlvalue"
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

var record = pg.SQL(`INSERT INTO delivery_delay (consumer, handled_at, late) VALUES ($1, $2, $3)`)

// Record keeps late deliveries that a consumer handles in this transaction, which ends about at.
func Record(ctx context.Context, tx store.Tx, consumer string, at time.Time, late []Late) error {
	return pg.Write(ctx, tx, fmt.Sprintf("keeping the times of %d late deliveries", len(late)), record, consumer, at, pack(late))
}

var kept = pg.SQL(`SELECT consumer, handled_at, late FROM delivery_delay WHERE position($1::bytea IN late) > 0 ORDER BY id DESC`)

// handled is what is kept of one delivery.
type handled struct {
	at     time.Time
	stages []Spent
}

// of gives what is kept of an event's deliveries, by consumer: of several the first.
func of(ctx context.Context, db *store.DB, id uuid.UUID) (map[string]handled, error) {
	found := map[string]handled{}
	err := pg.Each(ctx, db, fmt.Sprintf("reading the times of event %s", id), kept, func(row *sql.Rows) error {
		return eachLate(row, func(consumer string, at time.Time, late uuid.UUID, stages []Spent) {
			if late == id {
				found[consumer] = handled{at, stages}
			}
		})
	}, id[:])
	return found, err
}

// eachLate reads the deliveries of a row.
func eachLate(row *sql.Rows, do func(consumer string, at time.Time, id uuid.UUID, stages []Spent)) error {
	var consumer string
	var at time.Time
	var packed []byte
	if err := row.Scan(&consumer, &at, &packed); err != nil {
		return err
	}
	return unpack(packed, func(id uuid.UUID, stages []Spent) { do(consumer, at, id, stages) })
}

var keptOf = pg.SQL(`
SELECT consumer, handled_at, late FROM delivery_delay d
WHERE handled_at >= $2 AND EXISTS (SELECT 1 FROM unnest($1::bytea[]) AS wanted(id) WHERE position(wanted.id IN d.late) > 0) ORDER BY id DESC`)

// LateOf gives the late deliveries of some events that were handled since a time, by event and consumer: of several the
// first. It looks through all that is kept since then, once an event.
func LateOf(ctx context.Context, db *store.DB, events []uuid.UUID, since time.Time) (map[uuid.UUID]map[string]Newly, error) {
	found := map[uuid.UUID]map[string]Newly{}
	wanted := make(pq.ByteaArray, len(events))
	for i, id := range events {
		wanted[i], found[id] = id[:], map[string]Newly{}
	}
	err := pg.Each(ctx, db, fmt.Sprintf("reading the times of %d events", len(events)), keptOf, func(row *sql.Rows) error {
		return eachLate(row, func(consumer string, at time.Time, id uuid.UUID, stages []Spent) {
			if of, asked := found[id]; asked {
				of[consumer] = newly(consumer, at, id, stages)
			}
		})
	}, wanted, since)
	return found, err
}

// A row has one late delivery or more.
var newest = pg.SQL(`SELECT consumer, handled_at, late FROM delivery_delay ORDER BY id DESC LIMIT $1`)

// Newly is a delivery that was late.
type Newly struct {
	EventID   uuid.UUID `json:"eventId"`
	Consumer  string    `json:"consumer"`
	Queue     string    `json:"queue"`
	HandledAt time.Time `json:"handledAt"`
	Seconds   float64   `json:"seconds"` // the sum of the stages
	Widest    string    `json:"widest"`  // the stage that took most
}

func newly(consumer string, at time.Time, id uuid.UUID, stages []Spent) Newly {
	var d Delivery
	d.add(stages...)
	return Newly{EventID: id, Consumer: consumer, Queue: topology.QueueName(consumer), HandledAt: at, Seconds: d.Seconds, Widest: d.Widest}
}

// Newest lists the deliveries that were late, the last one first; limit 0 lists all that are kept.
func Newest(ctx context.Context, db *store.DB, limit int) ([]Newly, error) {
	list := []Newly{}
	err := pg.Each(ctx, db, "listing late deliveries", newest, func(row *sql.Rows) error {
		return eachLate(row, func(consumer string, at time.Time, id uuid.UUID, stages []Spent) {
			list = append(list, newly(consumer, at, id, stages))
		})
	}, sqlvalue.AtMost(limit))
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list, err
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
