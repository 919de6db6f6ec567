package projection

import (
	"context"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// Each thousandth tick is never thinned out.
var handledTick = pg.SQL(`
SELECT coalesce(max(t.id), 0) FROM tick t
WHERE t.id % 1000 = 0 AND t.max_seq < (
    SELECT coalesce(min(e.seq), 9223372036854775807) FROM event_log e
    WHERE $2 <> '' AND e.publish AND e.type = ANY ($1::text[]) AND NOT EXISTS (
        SELECT FROM inbox i JOIN consumer c ON c.id = i.consumer
        WHERE c.name = $2 AND i.event_id = e.event_id AND i.generation = ANY (` + eventlog.KeptGenerationsSQL + `))
    AND NOT ` + eventlog.ForgottenSQL + `)`)

// handled returns a tick before which the live worker has handled every event. It reads the log; parked and dead events
// count as not handled. For tables that are written with the events themselves it is the newest tick that stays; for
// those that add up it is not needed.
func (p Projection) handled(ctx context.Context, db *store.DB) (int64, error) {
	if p.Once {
		return 0, nil
	}
	types := make([]string, len(p.Types))
	for i, t := range p.Types {
		types[i] = string(t)
	}
	return pg.One[int64](ctx, db, "reading what "+p.Name+" has still to handle", handledTick, textArray(types), p.Worker)
}

var sameEpoch = pg.SQL(`SELECT (SELECT epoch FROM tick WHERE id = $1) = (SELECT epoch FROM tick WHERE id = $2)`)

// choice leaves out events that are not to be folded.
type choice func(ctx context.Context, tx store.Tx, entries []eventlog.Entry) ([]eventlog.Entry, error)

var inInbox = pg.SQL(`
SELECT i.event_id FROM inbox i JOIN consumer c ON c.id = i.consumer
WHERE c.name = $1 AND i.event_id = ANY ($2::uuid[]) AND i.generation = ANY (` + eventlog.KeptGenerationsSQL + `)`)

var inLog = pg.SQL(`SELECT event_id FROM event_log WHERE seq = ANY ($1::bigint[])`)

// unhandled leaves out what the live tables have as of the transaction's snapshot: what the worker's inbox has, or,
// for tables that are written with the events themselves, what the log has.
func (p Projection) unhandled(ctx context.Context, tx store.Tx, entries []eventlog.Entry) ([]eventlog.Entry, error) {
	ids, seqs := make([]uuid.UUID, len(entries)), pg.NewColumns(1, len(entries))
	for i := range entries {
		ids[i] = entries[i].EventID
		seqs.Add(entries[i].Seq)
	}
	var handled map[uuid.UUID]bool
	var err error
	if p.Worker == "" {
		handled, err = pg.Set[uuid.UUID](ctx, tx, "reading what the log had", inLog, seqs...)
	} else {
		handled, err = pg.Set[uuid.UUID](ctx, tx, "reading what "+p.Worker+" has handled", inInbox, p.Worker, pg.UUIDs(ids))
	}
	var left []eventlog.Entry
	for i := range entries {
		if !handled[entries[i].EventID] {
			left = append(left, entries[i])
		}
	}
	return left, err
}

// foldRange folds the events between two ticks, or those that only chooses, into the tables of a schema; upto 0: up to
// the newest tick. It returns the tick where it ended.
func (p Projection) foldRange(ctx context.Context, db *store.DB, tx store.Tx, side string, from, upto int64, only choice) (int64, error) {
	names, err := p.schemas(ctx, tx, side)
	if err != nil {
		return 0, err
	}
	return p.eachPage(ctx, db, from, upto, func(entries []eventlog.Entry) error {
		if only != nil && len(entries) > 0 {
			var err error
			if entries, err = only(ctx, tx, entries); err != nil {
				return err
			}
		}
		return p.fold(ctx, tx, names, entries)
	})
}

// eachPage calls do for each page of the log between two ticks; upto 0: up to the newest tick. It returns the tick
// where it ended.
func (p Projection) eachPage(ctx context.Context, db *store.DB, from, upto int64, do func([]eventlog.Entry) error) (int64, error) {
	for at := (eventlog.Cursor{Tick: from, Upto: from}); upto == 0 || at.Tick < upto; {
		if upto > 0 && at.Tick == at.Upto {
			same, err := pg.One[bool](ctx, db, "comparing epochs", sameEpoch, at.Tick, upto)
			if err != nil {
				return 0, err
			}
			if same {
				at.Upto = upto
			}
		}
		read, err := eventlog.ReadPage(ctx, db, at, page)
		if err != nil {
			return 0, err
		}
		if read.Next == at {
			return at.Tick, nil
		}
		if err := do(read.Events); err != nil {
			return 0, err
		}
		at = read.Next
		if upto == 0 && read.Last && at.Tick == at.Upto {
			return at.Tick, nil
		}
	}
	return upto, nil
}
