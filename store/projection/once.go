package projection

import (
	"context"
	"fmt"
	"strings"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Projections that add up
//
// The tables of a projection with Once have each event that the worker has handled, once, and no other. So an event
// that the worker has still to handle when a page is folded is left out, and noted in the table projection_delivery
// beside the tables; it is folded when the worker has handled it. What is not handled when the tables become live comes
// to the worker as ever, and what it was given again its inbox knows.
//
//	seq <= cursor, not in projection_delivery   folded
//	in it, not folded                           still to be handled
//	in it, folded                               folded, and after the kept tick: Back does not fold it again
//
// The last kind is of kept tables alone, whose tick is one that stays in the database: an older one than theirs.

// deliveries is the table of what is not as the cursor says. archivesFolded is a position in it that no event has.
const (
	deliveries     = "projection_delivery"
	archivesFolded = -1
)

func (p Projection) makeDeliveries(ctx context.Context, tx store.Tx, s schemas) error {
	if !p.Once {
		return nil
	}
	return pg.ExecText(ctx, tx, fmt.Sprintf("CREATE TABLE %s.%s (seq bigint PRIMARY KEY, folded boolean NOT NULL)", s.side, deliveries))
}

// handledSQL is true of an event e that the worker of the name $1 has handled: its inbox has it, or had it in a
// generation that is gone.
var handledSQL = `(EXISTS (SELECT FROM inbox i JOIN consumer c ON c.id = i.consumer
        WHERE c.name = $1 AND i.event_id = e.event_id AND i.generation = ANY (` + eventlog.KeptGenerationsSQL + `))
    OR ` + eventlog.ForgottenSQL + `
       AND EXISTS (SELECT FROM subscription s JOIN consumer c ON c.id = s.consumer JOIN tick t ON t.id = s.from_tick
                   WHERE c.name = $1 AND s.type = e.type AND NOT ` + eventlog.SeenBySQL("t.epoch", "t.snapshot") + `)
       AND NOT EXISTS (SELECT FROM parked_event p WHERE p.consumer = $1 AND p.event_id = e.event_id)
       AND NOT EXISTS (SELECT FROM dead_letter d WHERE d.consumer = $1 AND d.event_id = e.event_id AND ` + failures.StillDeadSQL + `))`

var handledOfLog = pg.SQL(`
SELECT e.seq FROM (SELECT seq, epoch, tx, event_id, type FROM event_log WHERE seq = ANY ($2::bigint[])) e WHERE ` + handledSQL)

var handledOfArchive = pg.SQL(`
SELECT e.seq FROM (SELECT seq, epoch, tx::xid8 AS tx, event_id, type
    FROM unnest($2::bigint[], $3::int[], $4::text[], $5::uuid[], $6::text[]) AS a(seq, epoch, tx, event_id, type)) e WHERE ` + handledSQL)

// once leaves out of a page what the worker has not handled, and notes it; and what kept tables have already.
func (p Projection) once(ctx context.Context, tx store.Tx, names schemas, entries []eventlog.Entry) ([]eventlog.Entry, error) {
	entries = p.ofTypes(entries)
	if len(entries) == 0 {
		return nil, nil
	}
	seqs := pg.NewColumns(1, len(entries))
	for i := range entries {
		seqs.Add(entries[i].Seq)
	}
	handled, err := pg.Set[int64](ctx, tx, "reading what "+p.Worker+" has handled", handledOfLog, p.Worker, seqs[0])
	if err != nil {
		return nil, err
	}
	return take(ctx, tx, names, entries, func(e *eventlog.Entry) int64 { return e.Seq }, handled)
}

// take gives those events that are handled, and notes those that are not. What is noted already is folded, or is left
// to foldOpen.
func take[E any](ctx context.Context, tx store.Tx, names schemas, events []E, seqOf func(*E) int64, handled map[int64]bool) ([]E, error) {
	seqs := pg.NewColumns(1, len(events))
	for i := range events {
		seqs.Add(seqOf(&events[i]))
	}
	noted, err := names.seqs(ctx, tx, `SELECT seq FROM %s WHERE seq = ANY ($1::bigint[])`, seqs[0])
	if err != nil {
		return nil, err
	}
	var left []E
	open := pg.NewColumns(1, 0)
	for i := range events {
		switch seq := seqOf(&events[i]); {
		case noted[seq]:
		case handled[seq]:
			left = append(left, events[i])
		default:
			open.Add(seq)
		}
	}
	if open.Rows() > 0 {
		_, err = names.seqs(ctx, tx, `INSERT INTO %s (seq, folded) SELECT seq, false FROM unnest($1::bigint[]) AS n(seq) RETURNING seq`, open[0])
	}
	return left, err
}

// seqs runs a statement on the table of deliveries, which has its name for %s, and returns positions of the log.
func (s schemas) seqs(ctx context.Context, tx store.Tx, text string, args ...any) (map[int64]bool, error) {
	rows, err := raw(tx).QueryContext(ctx, fmt.Sprintf(text, s.side+"."+deliveries), args...)
	if err != nil {
		return nil, fmt.Errorf("reading which deliveries are open: %w", pg.MapError(err))
	}
	defer rows.Close()
	found := map[int64]bool{}
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, err
		}
		found[seq] = true
	}
	return found, pg.MapError(rows.Err())
}

func (p Projection) ofTypes(entries []eventlog.Entry) []eventlog.Entry {
	var wanted []eventlog.Entry
	for i := range entries {
		for _, t := range p.Types {
			if entries[i].Type == t {
				wanted = append(wanted, entries[i])
			}
		}
	}
	return wanted
}

var readEntries = pg.SQL(`SELECT seq, event_id, type, occurred_at, body FROM event_log WHERE seq = ANY ($1::bigint[]) ORDER BY seq`)

// foldOpen folds what was noted as not handled and is handled by now.
func (p Projection) foldOpen(ctx context.Context, tx store.Tx, side string) error {
	if !p.Once {
		return nil
	}
	names, err := p.schemas(ctx, tx, side)
	if err != nil {
		return err
	}
	open, err := names.seqs(ctx, tx, `SELECT seq FROM %s WHERE NOT folded`)
	if err != nil || len(open) == 0 {
		return err
	}
	seqs := pg.NewColumns(1, len(open))
	for seq := range open {
		seqs.Add(seq)
	}
	handled, err := pg.List[int64](ctx, tx, "reading what "+p.Worker+" has handled", handledOfLog, p.Worker, seqs[0])
	for len(handled) > 0 && err == nil {
		some := handled[:min(page, len(handled))]
		handled = handled[len(some):]
		err = p.foldDeliveries(ctx, tx, names, some)
	}
	return err
}

func (p Projection) foldDeliveries(ctx context.Context, tx store.Tx, names schemas, handled []int64) error {
	seqs := pg.NewColumns(1, len(handled))
	for _, seq := range handled {
		seqs.Add(seq)
	}
	entries, err := pg.List[eventlog.Entry](ctx, tx, "reading what "+p.Worker+" has handled meanwhile", readEntries, seqs[0])
	if err != nil {
		return err
	}
	events, err := p.folded(entries)
	if err != nil {
		return err
	}
	if err := p.foldEvents(ctx, tx, names, events); err != nil {
		return err
	}
	_, err = names.seqs(ctx, tx, `DELETE FROM %s WHERE seq = ANY ($1::bigint[]) RETURNING seq`, seqs[0])
	return err
}

// onceArchived is once for a frame of the archives.
func (p Projection) onceArchived(ctx context.Context, tx store.Tx, names schemas, rows []archive.Row) ([]archive.Row, error) {
	columns := pg.NewColumns(5, len(rows))
	for i := range rows {
		columns.Add(rows[i].Seq, rows[i].Epoch, rows[i].Tx, rows[i].EventID, rows[i].Type)
	}
	handled, err := pg.Set[int64](ctx, tx, "reading what "+p.Worker+" has handled", handledOfArchive, append([]any{p.Worker}, columns...)...)
	if err != nil {
		return nil, err
	}
	return take(ctx, tx, names, rows, func(r *archive.Row) int64 { return r.Seq }, handled)
}

// emptied empties the rebuilt tables, unless the archives are in them as a whole: a rebuild that was interrupted
// within the archives begins with them again.
func (p Projection) emptied(ctx context.Context, db *store.DB, lease store.Lease) (done bool, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		names, err := p.schemas(ctx, tx, rebuilt)
		if err != nil {
			return err
		}
		marks, err := names.seqs(ctx, tx, `SELECT seq FROM %s WHERE seq = $1`, archivesFolded)
		if done = marks[archivesFolded]; done || err != nil {
			return err
		}
		return pg.ExecText(ctx, tx, "TRUNCATE "+p.names(names.side)+", "+names.side+"."+deliveries)
	})
	return done, err
}

// noteArchives notes that the archives are folded.
func (p Projection) noteArchives(ctx context.Context, db *store.DB, lease store.Lease) error {
	return db.InTx(ctx, func(tx store.Tx) error {
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		names, err := p.schemas(ctx, tx, rebuilt)
		if err == nil {
			_, err = names.seqs(ctx, tx, `INSERT INTO %s (seq, folded) VALUES ($1, true) RETURNING seq`, archivesFolded)
		}
		return err
	})
}

// settle brings tables that have come to a tick under the locks to what the worker has handled, and returns the tick
// from which Back goes on with the tables that they replace: these have the same events.
func (p Projection) settle(ctx context.Context, db *store.DB, tx store.Tx, side string, tick int64) (int64, error) {
	if err := p.foldOpen(ctx, tx, side); err != nil {
		return 0, err
	}
	return p.keepDeliveries(ctx, db, tx, side, tick)
}

var stayingTick = pg.SQL(`SELECT coalesce(max(id), 0) FROM tick WHERE id % 1000 = 0 AND id <= $1`)

// keepDeliveries notes beside tables that have come to a tick what they have of the events after an older tick, which
// stays in the database, and returns that one. Back goes on from there.
func (p Projection) keepDeliveries(ctx context.Context, db *store.DB, tx store.Tx, side string, tick int64) (int64, error) {
	names, err := p.schemas(ctx, tx, side)
	if err != nil {
		return 0, err
	}
	stays, err := pg.One[int64](ctx, tx, "reading a tick that stays", stayingTick, tick)
	if err != nil {
		return 0, err
	}
	if _, err := names.seqs(ctx, tx, `DELETE FROM %s WHERE folded RETURNING seq`); err != nil {
		return 0, err
	}
	_, err = p.eachPage(ctx, db, stays, tick, func(entries []eventlog.Entry) error {
		seqs := pg.NewColumns(1, len(entries))
		for _, e := range p.ofTypes(entries) {
			seqs.Add(e.Seq)
		}
		_, err := names.seqs(ctx, tx, `INSERT INTO %s (seq, folded) SELECT seq, true FROM unnest($1::bigint[]) AS n(seq) ON CONFLICT DO NOTHING RETURNING seq`, seqs[0])
		return err
	})
	return stays, err
}

// identities gives the tables beside the live ones the rows that a position has there, with their ids: other tables
// know them by these.
func (p Projection) identities(ctx context.Context, tx store.Tx, names schemas) error {
	for _, t := range p.Tables {
		if t.Identity == "" {
			continue
		}
		columns := strings.Join(append([]string{t.Identity}, t.Key...), ", ")
		err := pg.ExecText(ctx, tx, fmt.Sprintf(`INSERT INTO %[1]s.%[3]s (%[4]s) OVERRIDING SYSTEM VALUE
SELECT %[4]s FROM %[2]s.%[3]s l WHERE NOT EXISTS (SELECT FROM %[1]s.%[3]s s WHERE s.%[5]s = l.%[5]s)`, names.side, names.live, t.Name, columns, t.Identity))
		if err != nil {
			return fmt.Errorf("giving the rows of %s their ids: %w", t.Name, err)
		}
	}
	return nil
}

// nextIdentities has the tables beside the live ones give no id that the live ones have given.
func (p Projection) nextIdentities(ctx context.Context, tx store.Tx, names schemas) error {
	for _, t := range p.Tables {
		if t.Identity == "" {
			continue
		}
		err := pg.ExecText(ctx, tx, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('%[1]s.%[3]s', '%[4]s'), coalesce((SELECT max(%[4]s) FROM %[2]s.%[3]s), 0) + 1, false)`,
			names.side, names.live, t.Name, t.Identity))
		if err != nil {
			return fmt.Errorf("numbering the next rows of %s: %w", t.Name, err)
		}
	}
	return nil
}
