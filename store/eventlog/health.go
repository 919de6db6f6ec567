package eventlog

import (
	"context"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
)

// Health is the state of the log and its leaders, for the watchdog and the doctor.
type Health struct {
	// TickerHolder and RelayHolder are empty while the task has no leader.
	TickerHolder string `db:"ticker_holder"`
	RelayHolder  string `db:"relay_holder"`
	// Unpublished is how many log positions the relay has not passed (see Lag); Behind is for how long it could have.
	Unpublished int64         `db:"unpublished"`
	Behind      time.Duration `db:"-"`
	// Unticked is the age of the oldest event that no tick has seen: no reader gets it yet.
	Unticked time.Duration `db:"-"`
	// End is the last position drawn, Tick the newest tick, and Covered the last position drawn before it: while End
	// is larger, another tick is due.
	End     int64 `db:"log_end"`
	Tick    int64 `db:"tick"`
	Covered int64 `db:"covered"`
	// Place is the relay's cursor as text: it changes when the relay moves. Passed is the last tick the relay has
	// passed completely, and Confirmed the same as a Position.
	Place         string   `db:"place"`
	Passed        int64    `db:"passed"`
	Confirmed     Position `db:"confirmed"`
	Unpublishable int64    `db:"unpublishable"` // events that no broker will take
	Suspects      int64    `db:"suspects"`      // messages in hand when a process died

	BehindSeconds   float64 `db:"behind_seconds"`
	UntickedSeconds float64 `db:"unticked_seconds"`
}

var readHealth = pg.SQL(`
WITH c AS MATERIALIZED (
    SELECT coalesce(max(tick), 0) AS tick, coalesce(max(upto), 0) AS upto, coalesce(max(seq), 0) AS seq FROM log_cursor WHERE consumer = $1
), last AS MATERIALIZED (
    SELECT id, seq_before, max_seq FROM tick ORDER BY id DESC LIMIT 1
), log AS MATERIALIZED (
    SELECT coalesce(pg_sequence_last_value('event_log_seq'), 0) AS seq
)
SELECT coalesce((SELECT holder FROM lease WHERE name = 'ticker' AND expires_at > clock_timestamp()), '') AS ticker_holder,
       coalesce((SELECT holder FROM lease WHERE name = 'relay' AND expires_at > clock_timestamp()), '') AS relay_holder,
       greatest(0, log.seq - greatest(c.seq, p.max_seq)) AS unpublished,
       coalesce(extract(epoch FROM clock_timestamp() - (SELECT made_at FROM tick WHERE id > c.tick ORDER BY id LIMIT 1)), 0) AS behind_seconds,
       coalesce(extract(epoch FROM clock_timestamp() - (SELECT e.logged_at FROM event_log e WHERE e.seq > last.max_seq ORDER BY e.seq LIMIT 1)), 0) AS unticked_seconds,
       log.seq AS log_end, last.id AS tick, last.seq_before AS covered,
       c.tick || ' ' || c.upto || ' ' || c.seq AS place, c.tick AS passed,
       p.epoch AS "confirmed.epoch", p.snapshot::text AS "confirmed.snapshot", ` + beganAfter + ` AS "confirmed.seq",
       (SELECT count(*) FROM unpublishable) AS unpublishable, (SELECT count(*) FROM suspect) AS suspects
FROM c, last, log, tick p WHERE p.id = c.tick`)

// ReadHealth reads the state of the log and its leaders. Its cost does not grow with the log: it may run every other
// second.
func ReadHealth(ctx context.Context, db *store.DB) (Health, error) {
	w, err := pg.OneAlone[Health](ctx, db, "reading the log's health", readHealth, RelayConsumer)
	w.Unticked = sqlvalue.Seconds(w.UntickedSeconds)
	if w.Unpublished > 0 {
		w.Behind = sqlvalue.Seconds(w.BehindSeconds)
	}
	return w, err
}
