package archive

import (
	"context"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/internal/pg"
)

// Partition is a partition of the log that the database has.
type Partition struct {
	Name string `db:"name" json:"partition"`
	Low  int64  `db:"low" json:"low"`
	High int64  `db:"high" json:"high"` // its first position that is the next one's
	Size int64  `db:"size" json:"size"` // in bytes, with its indexes
	// LoggedUpto is a time by which all its events were logged; nil while it is written.
	LoggedUpto *time.Time `db:"logged_upto" json:"loggedUpTo,omitempty"`
}

// A tick that has seen the last position was made after it was drawn; an old one may have been thinned out.
const selectPartitions = `
SELECT p.name, p.low, p.high, p.size, (SELECT t.made_at FROM tick t WHERE t.seq_before >= p.high - 1 ORDER BY t.id LIMIT 1) AS logged_upto
FROM (SELECT c.relname AS name, pg_total_relation_size(c.oid) AS size, b.bounds[1]::bigint AS low, b.bounds[2]::bigint AS high
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      CROSS JOIN LATERAL (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '\(''?(-?\d+)''?\).*\(''?(-?\d+)''?\)') AS bounds) b
      WHERE i.inhparent = 'event_log'::regclass) p
ORDER BY p.low`

var listPartitions, oldestPartition = pg.SQL(selectPartitions), pg.SQL(selectPartitions + ` LIMIT 1`)

// Partitions reads the log's partitions, the oldest first.
func Partitions(ctx context.Context, db *store.DB) ([]Partition, error) {
	return pg.List[Partition](ctx, db, "listing the log's partitions", listPartitions)
}

// seenBy is a position up to which the tick p has seen every event (eventlog.Position).
const seenBy = `
coalesce((SELECT f.seq_before FROM tick f WHERE f.id <= p.id AND (f.epoch < p.epoch OR f.tx < pg_snapshot_xmin(p.snapshot)) ORDER BY f.id DESC LIMIT 1), 0)`

// passed tells that the tick p has seen every event before the position $1 although transactions were open in it: all
// of these have ended, and none has logged an event there. On an idle fleet no later tick comes that would tell it
// simply.
const passed = `
p.seq_before >= $1 - 1 AND p.epoch = (SELECT max(epoch) FROM epoch) AND NOT EXISTS (
    SELECT FROM (SELECT pg_snapshot_xip(p.snapshot) AS x
                 UNION ALL
                 SELECT x::text::xid8 FROM generate_series(pg_snapshot_xmax(p.snapshot)::text::bigint, p.tx::text::bigint - 1) x) open
    WHERE open.x >= pg_snapshot_xmin(pg_current_snapshot())
       OR EXISTS (SELECT FROM event_log e WHERE e.tx = open.x AND e.epoch = p.epoch AND e.seq < $1))`

const written = "the log is still written there"

// What still needs the positions before $1, a sentence each.
var heldBy = pg.SQL(`
SELECT why FROM (
    SELECT 1 AS rank, '` + written + `' AS why WHERE coalesce(pg_sequence_last_value('event_log_seq'), 0) < $1
    UNION ALL
    SELECT 2, format('it is sealed up to position %s: a fleet seals every 15 seconds', s.upto)
    FROM (SELECT coalesce(max(last_seq), 0) AS upto FROM log_seal) s WHERE s.upto < $1 - 1
    UNION ALL
    SELECT 3, format('%s has read up to position %s', c.consumer, c.upto)
    FROM (SELECT c.consumer, c.tick, (SELECT ` + seenBy + ` FROM tick p WHERE p.id = c.tick) AS upto FROM log_cursor c) c
    WHERE coalesce(c.upto, 0) < $1 - 1 AND NOT EXISTS (SELECT FROM tick p WHERE p.id = c.tick AND ` + passed + `)
    UNION ALL
    SELECT 4, format('replay %s is at position %s: wait for its end, resume it, or end it by composerp replay cancel %1$s', r.id, r.at_seq)
    FROM replay r WHERE r.state IN ('running', 'interrupted') AND r.at_seq < $1 - 1
    UNION ALL
    SELECT 5, format('the kept tables of %s go on from position %s: delete them by composerp projections drop-old %1$s', k.name, k.upto)
    FROM (SELECT k.name, k.kept_tick, (SELECT ` + seenBy + ` FROM tick p WHERE p.id = k.kept_tick) AS upto FROM projection k WHERE k.kept_tick IS NOT NULL) k
    WHERE coalesce(k.upto, 0) < $1 - 1 AND NOT EXISTS (SELECT FROM tick p WHERE p.id = k.kept_tick AND ` + passed + `)
    UNION ALL
    SELECT 6, 'no audit has proven all of it: run composerp audit'
    WHERE NOT EXISTS (SELECT FROM (SELECT epoch, floor FROM audit_checkpoint ORDER BY id DESC LIMIT 1) a WHERE a.epoch = (SELECT max(epoch) FROM epoch) AND a.floor >= $1 - 1)
    UNION ALL
    SELECT 7, format('%s of its deliveries are open in the newest audit: composerp dlq list shows the dead ones; redrive or discard them, then audit', o.n)
    FROM (SELECT count(*) AS n FROM audit_open o
          WHERE o.checkpoint = (SELECT max(id) FROM audit_checkpoint) AND o.seq < $1
            AND NOT (o.dead AND NOT EXISTS (SELECT FROM dead_letter d WHERE d.event_id = o.event_id AND d.consumer = o.consumer
                                            AND ` + failures.StillDeadSQL + ` AND d.discarded_at IS NULL))) o
    WHERE o.n > 0) held
ORDER BY rank, why`)

// Held tells what keeps the positions before one from being archived, a sentence each; none: nothing does.
func Held(ctx context.Context, db *store.DB, high int64) ([]string, error) {
	held, err := pg.List[string](ctx, db, "reading what still needs a partition of the log", heldBy, high)
	if len(held) > 1 && held[0] == written {
		held = held[:1] // the others follow from it
	}
	return held, err
}
