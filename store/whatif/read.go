package whatif

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
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

// archived tells whether an event that was archived can be in the span: none is dated further ahead of its logging
// than admission allows.
var archived = pg.SQL(`
SELECT coalesce(bool_or(logged_upto + make_interval(hours => greatest(36,
           (SELECT max(max_ahead_hours) FROM tenant_setting), (SELECT max(max_ahead_hours) FROM source_setting))) >= $1), false)
FROM log_archive`)

// Read gives the events of the types in the span, in log order, a part of the log at a time, and how many positions
// of the log have been read of how many there were when it began. Archives are those of the log, if they were given;
// without them the span must be in the database.
func Read(
	ctx context.Context, db *store.DB, archives *archive.Folder, span Span, types []event.Type, take func(events []Logged, read, all int64) error,
) error {
	end, err := eventlog.End(ctx, db)
	if err != nil {
		return err
	}
	cut, err := archive.Cut(ctx, db)
	if err != nil {
		return err
	}
	reaches, err := pg.One[bool](ctx, db, "looking for archives of the span", archived, bound(span.From, "-infinity"))
	switch {
	case err != nil:
		return err
	case reaches && archives == nil:
		return archive.Need(ctx, db, "reading the log from "+bound(span.From, "its beginning"), 0)
	case reaches:
		if err := readArchives(archives, cut, end, span, types, take); err != nil {
			return err
		}
	}
	for after := max(0, cut-1); after < end; after += part {
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
	switch now, err := archive.Cut(ctx, db); {
	case err != nil:
		return err
	case now != cut:
		return fmt.Errorf("reading the log: it was archived up to position %d meanwhile; begin again", now)
	}
	return nil
}

// readArchives gives the events of the span that are before the cut, a part of an archive at a time.
func readArchives(archives *archive.Folder, cut, end int64, span Span, types []event.Type, take func(events []Logged, read, all int64) error) error {
	if archives.Cut < cut {
		return fmt.Errorf("reading the log: it was archived up to position %d meanwhile; begin again", cut)
	}
	return archives.Frames(-1, cut-1, false, func(rows []archive.Row) error {
		for some := range slices.Chunk(rows, part) {
			var events []Logged
			for i := range some {
				if r := &some[i]; slices.Contains(types, event.Type(r.Type)) && span.has(r) {
					events = append(events, Logged{Seq: r.Seq, ID: r.EventID, Type: event.Type(r.Type), Version: r.Version, Body: []byte(r.Body)})
				}
			}
			if err := take(events, some[len(some)-1].Seq, end); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Span) has(r *archive.Row) bool {
	return (s.From.IsZero() || !r.OccurredAt.Before(s.From)) && (s.To.IsZero() || r.OccurredAt.Before(s.To)) && (s.Tenant == "" || s.Tenant == r.Tenant)
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
