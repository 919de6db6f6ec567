package projection

import (
	"context"

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

// handled returns a tick of which the live worker has handled every event. It reads the log; parked and dead events
// count as not handled. For tables that are written with the events themselves it is the newest tick that stays.
func (p Projection) handled(ctx context.Context, db *store.DB) (int64, error) {
	types := make([]string, len(p.Types))
	for i, t := range p.Types {
		types[i] = string(t)
	}
	return pg.One[int64](ctx, db, "reading what "+p.Name+" has still to handle", handledTick, textArray(types), p.Worker)
}

var sameEpoch = pg.SQL(`SELECT (SELECT epoch FROM tick WHERE id = $1) = (SELECT epoch FROM tick WHERE id = $2)`)

// foldRange folds the events between two ticks into the tables of a schema; upto 0: up to the newest tick. It returns
// the tick where it ended.
func (p Projection) foldRange(ctx context.Context, db *store.DB, tx store.Tx, side string, from, upto int64) (int64, error) {
	names, err := p.schemas(ctx, tx, side)
	if err != nil {
		return 0, err
	}
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
		if err := p.fold(ctx, tx, names, read.Events); err != nil {
			return 0, err
		}
		at = read.Next
		if upto == 0 && read.Last && at.Tick == at.Upto {
			return at.Tick, nil
		}
	}
	return upto, nil
}
