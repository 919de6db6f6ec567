package eventquery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Archives
//
// The rows of an archive go to the server some at a time, and the same condition chooses among them as among the log's:
// a filter means one thing.

// archivedRows are rows of an archive in place of the log.
const archivedRows = `SELECT e.seq, e.event_id, e.type, e.version, e.tenant_id, e.aggregate_id, e.occurred_at, e.logged_at, e.publish, e.body
FROM unnest($15::bigint[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::boolean[], $24::text[])
     AS r(seq, event_id, type, version, tenant_id, aggregate_id, occurred_at, logged_at, publish, body)
CROSS JOIN LATERAL (SELECT r.seq, r.event_id::uuid AS event_id, r.type, r.version, r.tenant_id, r.aggregate_id, r.occurred_at::timestamptz AS occurred_at,
                           nullif(r.logged_at, '')::timestamptz AS logged_at, r.publish, r.body) e
WHERE `

var (
	archivedForward  = pg.SQL(archivedRows + matchSQL + ` ORDER BY e.seq LIMIT $25`)
	archivedBackward = pg.SQL(archivedRows + matchSQL + ` ORDER BY e.seq DESC LIMIT $25`)
)

// places reads some places: the first of them may be in archives.
func (r *reading) places(ctx context.Context, low, high int64) error {
	if r.q.Archives == nil || low >= r.q.Archives.Cut-1 {
		return r.part(ctx, low, high)
	}
	last := min(high, r.q.Archives.Cut-1)
	reads := []func() error{
		func() error { return r.archived(ctx, low, last) },
		func() error { return r.part(ctx, last, high) },
	}
	if r.q.Reverse {
		slices.Reverse(reads)
	}
	for _, read := range reads {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

// archived reads places that are in archives.
func (r *reading) archived(ctx context.Context, low, high int64) error {
	return r.q.Archives.Frames(low, high, r.q.Reverse, func(rows []archive.Row) error { return r.chosen(ctx, rows) })
}

// chosen hands on those of the rows that match. Where a body cannot be read as JSON it divides them until that event is
// alone, and passes it.
func (r *reading) chosen(ctx context.Context, rows []archive.Row) error {
	statement, most := archivedForward, len(rows)
	if r.q.Reverse {
		statement = archivedBackward
	}
	if r.left >= 0 {
		most = min(most, r.left+1)
	}
	events, _, err := r.collect(ctx, fmt.Sprintf("reading the archive from place %d", rows[0].Seq), statement, append(columnsOf(rows), most)...)
	if isUnreadable(err) {
		if len(rows) == 1 {
			r.result.Unreadable++
			return nil
		}
		if err := r.chosen(ctx, rows[:len(rows)/2]); err != nil {
			return err
		}
		return r.chosen(ctx, rows[len(rows)/2:])
	}
	if err != nil {
		return err
	}
	return r.hand(events)
}

func columnsOf(rows []archive.Row) []any {
	n := len(rows)
	seqs, publish := make(pq.Int64Array, n), make(pq.BoolArray, n)
	texts := make([]pq.StringArray, 8)
	for i := range texts {
		texts[i] = make(pq.StringArray, n)
	}
	for i := range rows {
		e := &rows[i]
		logged := ""
		if e.LoggedAt != nil {
			logged = e.LoggedAt.Format(time.RFC3339Nano)
		}
		seqs[i], publish[i] = e.Seq, e.Publish
		for c, text := range []string{e.EventID.String(), e.Type, e.Version, e.Tenant, e.Aggregate, e.OccurredAt.Format(time.RFC3339Nano), logged, e.Body} {
			texts[c][i] = text
		}
	}
	return []any{seqs, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6], publish, texts[7]}
}

var archivedUpto = pg.SQL(`SELECT coalesce(max(high), 0) AS cut, coalesce(max(logged_upto), '-infinity') < $1 AS later FROM log_archive`)

// Archived returns the place before which events that the query asks for are in archives, when these are not given; 0:
// it asks for none.
func (q *Query) Archived(ctx context.Context, db *store.DB) (int64, error) {
	if q.Archives != nil {
		return 0, nil
	}
	found, err := pg.One[struct {
		Cut   int64 `db:"cut"`
		Later bool  `db:"later"`
	}](ctx, db, "reading how far the log is archived", archivedUpto, q.LoggedFrom)
	if err != nil || q.After >= found.Cut-1 || !q.LoggedFrom.IsZero() && found.Later {
		return 0, err
	}
	if q.ID.Valid {
		place, err := pg.One[int64](ctx, db, "looking for an event among those from outside", placeOf, q.ID.UUID)
		if err == nil && place >= found.Cut {
			return 0, nil
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, err
		}
	}
	return found.Cut, nil
}

// ErrCutMeanwhile means that events which a query had still to read left the database while it was at work.
var ErrCutMeanwhile = errors.New("part of the log was archived meanwhile; begin again, with --archives")

// complete runs a reading, and makes sure that nothing left the database meanwhile.
func (r *reading) complete(ctx context.Context, from int64, read func() error) error {
	before, err := archive.Cut(ctx, r.db)
	if r.q.Archives != nil {
		before = r.q.Archives.Cut
	}
	if err != nil {
		return err
	}
	if err := read(); err != nil {
		return err
	}
	after, err := archive.Cut(ctx, r.db)
	if err == nil && after != before && from < after-1 {
		err = ErrCutMeanwhile
	}
	return err
}
