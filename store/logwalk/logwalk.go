// Package logwalk reads the events of the whole log in log order and in constant memory: a statement reads a part of
// the log, and each row goes to the caller as it comes. It reads what is committed when a part is read, and nothing
// that is appended after the walk has begun; it moves no cursor.
package logwalk

import (
	"context"
	"database/sql"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// Query says which events to read.
type Query struct {
	Types []event.Type // none: all
	// Progress, if set, is called with how many positions of the log have been read, and how many there are.
	Progress func(read, all int64)
}

// Event is an event of the log. Body is valid until the next one is read.
type Event struct {
	Seq     int64
	ID      uuid.UUID
	Type    event.Type
	Version string
	Tenant  string
	Body    sql.RawBytes
}

// part is how many positions of the log one statement reads.
const part = 20_000

var page = pg.SQL(`
SELECT e.seq, e.event_id, e.type, e.version, e.tenant_id, e.body FROM event_log e
WHERE e.seq > $1 AND e.seq <= $2 AND (cardinality($3::text[]) = 0 OR e.type = ANY ($3))
ORDER BY e.seq`)

// Each gives the events to take, in log order. An error of take ends the walk.
func Each(ctx context.Context, db *store.DB, q Query, take func(Event) error) error {
	end, err := eventlog.End(ctx, db)
	if err != nil {
		return err
	}
	types := make(pq.StringArray, len(q.Types))
	for i, t := range q.Types {
		types[i] = string(t)
	}
	for after := int64(0); after < end; after += part {
		upto := min(after+part, end)
		err := pg.Each(ctx, db, "reading the log", page, func(row *sql.Rows) error {
			var e Event
			if err := row.Scan(&e.Seq, &e.ID, &e.Type, &e.Version, &e.Tenant, &e.Body); err != nil {
				return err
			}
			return take(e)
		}, after, upto, types)
		if err != nil {
			return err
		}
		if q.Progress != nil {
			q.Progress(upto, end)
		}
	}
	return nil
}
