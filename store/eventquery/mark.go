package eventquery

import (
	"context"
	"errors"
	"fmt"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Following the log without a cursor
//
// A reader that only shows events has no row in log_cursor, so that it holds no tick back and leaves nothing behind.
// It keeps the ticks between which it reads in its own memory instead: a Mark is all that an interval needs to know of
// a tick, and housekeeping may delete the row. The intervals are those of eventlog (reader.go).

// Mark is a tick as a reader remembers it.
type Mark struct {
	Tick      int64  `db:"id"`
	Epoch     int    `db:"epoch"`
	Tx        string `db:"tx"`
	Snapshot  string `db:"snapshot"`
	SeqBefore int64  `db:"seq_before"`
	MaxSeq    int64  `db:"max_seq"`
}

const selectMark = `SELECT id, epoch, tx::text AS tx, snapshot::text AS snapshot, seq_before, max_seq FROM tick `

var newestMark = pg.SQL(selectMark + `ORDER BY id DESC LIMIT 1`)

// The end of the epoch of $1 where $2 is of a later one, then the beginning of the next; both survive thinning.
var markOnTheWay = pg.SQL(selectMark + `
WHERE id = (SELECT CASE first_tick WHEN $1::bigint + 1 THEN first_tick ELSE first_tick - 1 END FROM epoch WHERE epoch = $2::int + 1)`)

// ErrWentBack says that the log ends before what a reader has seen of it.
var ErrWentBack = errors.New("the log has gone back: the database was restored; begin again")

// NewestMark returns the newest tick.
func NewestMark(ctx context.Context, db *store.DB) (Mark, error) {
	return pg.One[Mark](ctx, db, "reading the newest tick", newestMark)
}

// NextMark returns the tick up to which a reader at a Mark goes next: the newest, but not past the end of its epoch.
// The same Mark: there is nothing new. ErrWentBack when the log was restored to before it.
func NextMark(ctx context.Context, db *store.DB, at Mark) (Mark, error) {
	next, err := NewestMark(ctx, db)
	switch {
	case err != nil:
		return Mark{}, err
	case next.Tick < at.Tick || next.Epoch < at.Epoch || next.Tick == at.Tick && next.Snapshot != at.Snapshot:
		return Mark{}, fmt.Errorf("following the log from tick %d: %w", at.Tick, ErrWentBack)
	case next.Epoch == at.Epoch:
		return next, nil
	}
	next, err = pg.One[Mark](ctx, db, "reading the end of the log's epoch", markOnTheWay, at.Tick, at.Epoch)
	if errors.Is(err, store.ErrNotFound) || err == nil && next.Tick < at.Tick {
		err = fmt.Errorf("following the log from tick %d: %w", at.Tick, ErrWentBack)
	}
	return next, err
}

// As eventlog reads a page, with the two ticks given. $1 to $5: id, epoch, tx, snapshot and seq_before of the first; $6
// and $7: snapshot and max_seq of the second; past place $8, at most $9.
var placesBetween = pg.SQL(`
WITH open AS MATERIALIZED (
         SELECT pg_snapshot_xip($4::pg_snapshot) AS x
         UNION ALL
         SELECT x::text::xid8 FROM generate_series(pg_snapshot_xmax($4)::text::bigint, $3::text::bigint - 1) x),
     late AS MATERIALIZED (SELECT x FROM open WHERE x < $3::text::xid8 AND pg_visible_in_snapshot(x, $6::pg_snapshot)),
     floor AS MATERIALIZED (
         SELECT t.seq_before FROM tick t
         WHERE t.id <= $1 AND EXISTS (SELECT FROM late) AND (t.epoch < $2::int OR t.tx < (SELECT x FROM late ORDER BY x LIMIT 1))
         ORDER BY t.id DESC LIMIT 1)
SELECT seq FROM (
    (SELECT e.seq FROM event_log e
     WHERE e.seq > greatest($8::bigint, $5::bigint) AND e.seq <= $7::bigint AND xid8cmp(e.tx, $3::text::xid8) > 0
       AND pg_visible_in_snapshot(e.tx, $6) AND NOT pg_visible_in_snapshot(e.tx, $4)
     ORDER BY e.seq LIMIT $9)
    UNION ALL
    (SELECT e.seq FROM late CROSS JOIN LATERAL (
         SELECT e.seq FROM event_log e
         WHERE e.tx = late.x AND e.seq > greatest($8, (SELECT seq_before FROM floor)) AND e.seq <= $7
         ORDER BY e.seq LIMIT $9) e
     ORDER BY e.seq LIMIT $9)) e
ORDER BY seq LIMIT $9`)

// PlacesBetween returns in order the places of at most limit events that lie between two ticks of one epoch, past a
// place: those to be published and those that were published before they were logged.
func PlacesBetween(ctx context.Context, db *store.DB, from, to Mark, past int64, limit int) ([]int64, error) {
	return pg.List[int64](ctx, db, fmt.Sprintf("reading the log from tick %d to tick %d", from.Tick, to.Tick), placesBetween,
		from.Tick, from.Epoch, from.Tx, from.Snapshot, from.SeqBefore, to.Snapshot, to.MaxSeq, past, limit)
}
