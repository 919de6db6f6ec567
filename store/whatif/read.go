package whatif

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// Logged is an event of the log.
type Logged struct {
	Seq     int64
	ID      uuid.UUID
	Type    event.Type
	Version string
	Body    []byte
}

// part is how many positions of the log are read at once.
const part = 4000

var page = pg.SQL(`
SELECT e.seq, e.event_id, e.type, e.version, e.body FROM event_log e
WHERE e.seq > $1 AND e.seq <= $2 AND e.type = ANY ($3) AND e.occurred_at >= $4 AND e.occurred_at < $5 AND $6 IN ('', e.tenant_id)
ORDER BY e.seq`)

// Read gives the events of the types in the span, in log order, a part of the log at a time, and how many positions of
// the log have been read of how many there were when it began.
func Read(ctx context.Context, db *store.DB, span Span, types []event.Type, take func(events []Logged, read, all int64) error) error {
	end, err := eventlog.End(ctx, db)
	if err != nil {
		return err
	}
	for after := int64(0); after < end; after += part {
		upto := min(after+part, end)
		var events []Logged
		err := pg.Each(ctx, db, "reading the log", page, func(row *sql.Rows) error {
			var e Logged
			err := row.Scan(&e.Seq, &e.ID, &e.Type, &e.Version, &e.Body)
			events = append(events, e)
			return err
		}, after, upto, names(types), bound(span.From, "-infinity"), bound(span.To, "infinity"), span.Tenant)
		if err != nil {
			return err
		}
		if err := take(events, upto, end); err != nil {
			return err
		}
	}
	return nil
}

var beyond = pg.SQL(`
SELECT EXISTS (SELECT FROM event_log WHERE type = ANY ($1) AND occurred_at >= $2 AND $3 IN ('', tenant_id))`)

// Beyond tells whether the log has events of the types after the span: then all of the span is known.
func Beyond(ctx context.Context, db *store.DB, span Span, types []event.Type) (bool, error) {
	if span.To.IsZero() {
		return false, nil
	}
	return pg.One[bool](ctx, db, "reading the end of the log", beyond, names(types), bound(span.To, ""), span.Tenant)
}

func names(types []event.Type) pq.StringArray {
	list := make(pq.StringArray, len(types))
	for i, t := range types {
		list[i] = string(t)
	}
	return list
}

func bound(at time.Time, none string) string {
	if at.IsZero() {
		return none
	}
	return at.UTC().Format(time.RFC3339Nano)
}
