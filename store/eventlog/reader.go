package eventlog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Reading the log
//
// The events between tick p and a later tick c are those of the transactions that had ended in c and had not in p:
//
//	tx > p.tx, visible in c but not in p   those that began after the tick p, or
//	tx < p.tx, visible in c but not in p   the late ones: in progress in p, or
//	                                       from its xmax on.
//
// The border is the tick's own transaction. The snapshot's xmax would be wrong: it is one more than the last id that
// had ended, so a transaction from there on may have been at work for long.
//
// The two branches are disjoint, each transaction ends up in exactly one interval of neighbouring ticks, and intervals
// add up: (p,c] and (c,d] together hold what (p,d] holds. So a reader may span any number of ticks at once. Within an
// interval events come in the order of seq and are paged by it.
//
// The first branch needs no index on tx: its events have seq > p.seq_before and seq <= c.max_seq (tick.go), which the
// log's key answers; xid8cmp keeps the planner from the other index, by which it would read all of the log after p.
// Only the late ones, few and old, are found by transaction, one after the other: asked for all at once, the planner
// would read the log from the oldest on. The newest tick before the oldest of them began (floor) rules out partitions,
// and events of an earlier epoch with the same ids: they stand below this epoch's first tick.
//
// Order: two events of one aggregate are never reversed. The writer of the second held the aggregate's row lock, so
// the first had committed; in one interval seq orders them, else the first is in the earlier interval.
//
// Crash: a cursor moves only by compare-and-set with the lease's term, after its events have been processed. Events
// processed but not yet passed are read again.

// Cursor is a reader's position: inside the interval (Tick, Upto], past Seq. When Tick equals Upto no interval has
// begun.
type Cursor struct {
	Consumer string `db:"consumer"`
	Tick     int64  `db:"tick"`
	Upto     int64  `db:"upto"`
	Seq      int64  `db:"seq"`
	Term     int64  `db:"term"`
}

// Page is some events in order, and the cursor after them. Last: there was no more to read; the next tick brings more.
type Page struct {
	Events []Entry
	Next   Cursor
	Last   bool
}

var openCursor = pg.SQL(`
INSERT INTO log_cursor AS c (consumer, tick, upto, seq, term) VALUES ($1, 0, 0, 0, $2)
ON CONFLICT (consumer) DO UPDATE SET term = excluded.term WHERE c.term <= excluded.term
RETURNING consumer, tick, upto, seq, term`)

// One round trip moves and commits. The driver may repeat it after a connection error: then the cursor stands at the
// target already.
var moveCursor = pg.SQL(`
UPDATE log_cursor SET tick = $6, upto = $7, seq = $8, moved_at = now()
WHERE consumer = $1 AND term = $2 AND (tick = $3 AND upto = $4 AND seq = $5 OR tick = $6 AND upto = $7 AND seq = $8)
  AND EXISTS (SELECT FROM tick WHERE id = $7)`)

// OpenCursor returns the cursor of the lease's reader, at the beginning of the log when it is new, and fences every
// earlier term. ErrNotLeader when a later term has opened it.
func OpenCursor(ctx context.Context, db *store.DB, lease store.Lease) (Cursor, error) {
	var c Cursor
	err := db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		return pg.Get(ctx, tx, &c, openCursor, lease.Name, lease.Term)
	})
	if errors.Is(err, store.ErrNotFound) {
		err = store.ErrNotLeader
	}
	if err != nil {
		return Cursor{}, fmt.Errorf("opening the cursor of %s: %w", lease.Name, err)
	}
	return c, nil
}

// MoveCursor moves the cursor. ErrNotLeader when it stands neither at from nor at the target, because another process
// moved it, or when the target does not exist because the database was restored.
func MoveCursor(ctx context.Context, db *store.DB, from, to Cursor) error {
	n, err := pg.Repeat(ctx, db, moveCursor, from.Consumer, from.Term, from.Tick, from.Upto, from.Seq, to.Tick, to.Upto, to.Seq)
	if err == nil && n == 0 {
		err = store.ErrNotLeader
	}
	if err != nil {
		return fmt.Errorf("moving the cursor of %s: %w", from.Consumer, err)
	}
	return nil
}

// nextTick is the next tick after $1 that fills a page of $4, or else the newest, but not past the end of the epoch;
// from there, the beginning of the next. $1 itself: there is nothing new.
const nextTick = `
SELECT least(
    coalesce(
        (SELECT t.id FROM tick t WHERE t.id > p.id AND t.max_seq >= p.max_seq + $4::bigint ORDER BY t.id LIMIT 1),
        (SELECT max(id) FROM tick)),
    (SELECT CASE first_tick WHEN p.id + 1 THEN p.id + 1 ELSE first_tick - 1 END FROM epoch WHERE epoch = p.epoch + 1))
FROM tick p WHERE p.id = $1`

// In microseconds, as exactly as the database knows it.
const loggedAt = `(date_part('epoch', e.logged_at) * 1000000)::bigint`

// It reads the interval between the ticks $1 and $2, or one that begins at $1 where $2 is $1 too, past the position $3.
// Each row has the interval's end, whether both its ticks are there, and whether the end is the newest tick; an empty
// interval has one row without an event. Times are in seconds, as messages have them, and in microseconds: a timestamp
// costs more. The relay reads what is to be published; a copy of the log everything.
var readPage, readWhole = pg.SQL(page("e.publish")), pg.SQL(page("true"))

func page(which string) string {
	return `
WITH upto AS MATERIALIZED (SELECT CASE WHEN $1::bigint <> $2::bigint THEN $2 ELSE (` + nextTick + `) END AS id),
     p AS MATERIALIZED (SELECT epoch, snapshot, seq_before, tx FROM tick WHERE id = $1),
     c AS MATERIALIZED (SELECT snapshot, max_seq FROM tick WHERE id = (SELECT id FROM upto) AND id <> $1),
     open AS MATERIALIZED (
         SELECT pg_snapshot_xip(snapshot) AS x FROM p
         UNION ALL
         SELECT x::text::xid8 FROM p, generate_series(pg_snapshot_xmax(snapshot)::text::bigint, tx::text::bigint - 1) x),
     late AS MATERIALIZED (SELECT x FROM open WHERE x < (SELECT tx FROM p) AND pg_visible_in_snapshot(x, (SELECT snapshot FROM c))),
     floor AS MATERIALIZED (
         SELECT t.seq_before FROM tick t
         WHERE t.id <= $1 AND EXISTS (SELECT FROM late)
           AND (t.epoch < (SELECT epoch FROM p) OR t.tx < (SELECT x FROM late ORDER BY x LIMIT 1))
         ORDER BY t.id DESC LIMIT 1)
SELECT upto.id AS upto, EXISTS (SELECT FROM p) AND (upto.id = $1 OR EXISTS (SELECT FROM c)) AS known,
       upto.id = (SELECT max(id) FROM tick) AS newest, e.seq, e.event_id, e.type, e.tenant_id, e.aggregate_id, e.occurred_at, e.logged_at, e.body, NOT e.publish
FROM upto LEFT JOIN (
    (SELECT e.seq, e.event_id, e.type, e.tenant_id, e.aggregate_id, floor(date_part('epoch', e.occurred_at))::bigint AS occurred_at,
            ` + loggedAt + ` AS logged_at, e.body, e.publish
     FROM event_log e
     WHERE ` + which + `
       AND e.seq > greatest($3, (SELECT seq_before FROM p)) AND e.seq <= (SELECT max_seq FROM c)
       AND xid8cmp(e.tx, (SELECT tx FROM p)) > 0
       AND pg_visible_in_snapshot(e.tx, (SELECT snapshot FROM c)) AND NOT pg_visible_in_snapshot(e.tx, (SELECT snapshot FROM p))
     ORDER BY e.seq LIMIT $4)
    UNION ALL
    (SELECT e.seq, e.event_id, e.type, e.tenant_id, e.aggregate_id, e.occurred_at, e.logged_at, e.body, e.publish
     FROM late CROSS JOIN LATERAL (
         SELECT e.seq, e.event_id, e.type, e.tenant_id, e.aggregate_id, floor(date_part('epoch', e.occurred_at))::bigint AS occurred_at,
            ` + loggedAt + ` AS logged_at, e.body, e.publish
         FROM event_log e
         WHERE ` + which + ` AND e.tx = late.x AND e.seq > greatest($3, (SELECT seq_before FROM floor)) AND e.seq <= (SELECT max_seq FROM c)
         ORDER BY e.seq LIMIT $4) e
     ORDER BY e.seq LIMIT $4)
    ORDER BY seq LIMIT $4) e ON true`
}

// ReadPage reads at most limit events to be published from the cursor on, in one round trip. An empty page whose Next
// is the cursor itself means there is nothing new. Times are cut to seconds. ErrNotFound when a tick is gone: an
// interval without it looks empty, and passing it would lose its events.
func ReadPage(ctx context.Context, db *store.DB, at Cursor, limit int) (Page, error) {
	return readFrom(ctx, db, readPage, at, limit)
}

// ReadWholePage is ReadPage of all events: also those that came straight over AMQP, which need not be published.
func ReadWholePage(ctx context.Context, db *store.DB, at Cursor, limit int) (Page, error) {
	return readFrom(ctx, db, readWhole, at, limit)
}

func readFrom(ctx context.Context, db *store.DB, statement pg.Statement, at Cursor, limit int) (Page, error) {
	page := Page{Next: at}
	var known, newest bool
	doing := fmt.Sprintf("reading the log from tick %d", at.Tick)
	err := pg.Each(ctx, db, doing, statement, func(row *sql.Rows) error {
		var upto, seq, occurred, logged sql.NullInt64
		var isNewest, direct sql.NullBool
		var typ, tenant, aggregate sql.NullString
		var e Entry
		if err := row.Scan(&upto, &known, &isNewest, &seq, &e.EventID, &typ, &tenant, &aggregate, &occurred, &logged, &e.Body, &direct); err != nil {
			return err
		}
		page.Next.Upto, newest = upto.Int64, isNewest.Bool
		if seq.Valid {
			e.Seq, e.Type, e.OccurredAt = seq.Int64, event.Type(typ.String), time.Unix(occurred.Int64, 0)
			e.Tenant, e.Aggregate, e.Direct = tenant.String, aggregate.String, direct.Bool
			if logged.Valid {
				e.LoggedAt = time.UnixMicro(logged.Int64)
			}
			page.Events = append(page.Events, e)
		}
		return nil
	}, at.Tick, at.Upto, at.Seq, limit)
	// The statement's last sort chooses the events. A second one, of the join, would cost the database more than this.
	slices.SortFunc(page.Events, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	page.Last = page.Next.Upto == at.Tick || newest && len(page.Events) < limit
	switch {
	case err != nil:
		return Page{}, err
	case !known:
		return Page{}, fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	case page.Next.Upto == at.Tick:
		return page, nil
	case len(page.Events) == limit:
		page.Next.Seq = page.Events[limit-1].Seq
	default:
		page.Next = Cursor{Consumer: at.Consumer, Tick: page.Next.Upto, Upto: page.Next.Upto, Term: at.Term}
	}
	return page, nil
}

var markUnpublishable = pg.SQL(`INSERT INTO unpublishable (seq, event_id, reason) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`)

// MarkUnpublishable records an event that the broker will never take, so that the cursor may pass it.
func MarkUnpublishable(ctx context.Context, db *store.DB, e Entry, reason string) error {
	return pg.WriteAlone(ctx, db, fmt.Sprintf("marking event %s as unpublishable", e.EventID), markUnpublishable, e.Seq, e.EventID, reason)
}

// The positions that the cursor's tick has not seen: the sequence's last number, less the last one the tick knows or
// the cursor has paged past.
var cursorLag = pg.SQL(`
SELECT greatest(0, s.last_value - greatest(coalesce(c.seq, 0), coalesce(t.max_seq, 0)))
FROM (SELECT coalesce(pg_sequence_last_value('event_log_seq'), 0) AS last_value) s
LEFT JOIN log_cursor c ON c.consumer = $1 LEFT JOIN tick t ON t.id = c.tick`)

// Lag is about how many log positions a reader has not passed. Numbers that were rolled back count; a number drawn
// before the reader's tick by a transaction that ended after it does not. ReadState counts events exactly.
func Lag(ctx context.Context, db *store.DB, consumer string) (int64, error) {
	return pg.One[int64](ctx, db, fmt.Sprintf("reading the lag of %s", consumer), cursorLag, consumer)
}
