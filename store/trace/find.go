package trace

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// Query says what to look for.
type Query struct {
	// Name is an event's id, a correlation id, or the id of anything that events tell of: a sale, an order, an item.
	Name   string
	Tenant string // the only one to look at; empty: all
	Limit  int    // the most events that mention the name, the newest; 0: all
	// Archives, unless nil, are looked through as well. Deliveries of their events are not told: all were handled or given
	// up before.
	Archives *archive.Folder
	// Progress, if set, is called with how many places of the log have been read, and how many there are.
	Progress func(read, all int64)
}

// Found is what was found.
type Found struct {
	Events []Event // each after the one it follows from, else by their places in the log
	More   bool    // more events mention the name than the limit
}

// ErrMany means that what is named belongs to more events than are told of at once.
var ErrMany = errors.New("too many events")

const (
	// part is how many places of the log one statement reads: some 50 ms.
	part = 50_000
	// maxFamily is how many events with the same correlation id are taken: a file of counts may have one for all.
	maxFamily = 20_000
)

// The strings of a body stand in quotes; what they are of, a decoder says.
var mentions = pg.SQL(`
SELECT e.seq, e.event_id, e.type, e.version, e.tenant_id, e.aggregate_id, e.occurred_at, e.logged_at, e.publish, e.body FROM event_log e
WHERE e.seq > $1 AND e.seq <= $2 AND ($3 = '' OR e.tenant_id = $3)
  AND (e.event_id = ANY ($4::uuid[]) OR EXISTS (SELECT FROM unnest($5::text[]) AS quoted WHERE strpos(e.body, quoted) > 0))
ORDER BY e.seq DESC`)

// search reads the log from its end.
type search struct {
	db       *store.DB
	tenant   string
	end      int64
	archives *archive.Folder
	progress func(read, all int64)
}

// mentioning gives the events that are or mention one of the names, the newest first, until take has enough.
func (s search) mentioning(ctx context.Context, names []string, take func(Event) (more bool)) error {
	ids, quoted := []uuid.UUID{}, pq.StringArray{}
	for _, name := range names {
		if id, err := uuid.Parse(name); err == nil {
			ids = append(ids, id)
		}
		texts, err := Quotations(name)
		if err != nil {
			return fmt.Errorf("looking for %q: %w", name, err)
		}
		quoted = append(quoted, texts...)
	}
	return s.each(ctx, ids, quoted, take)
}

// Quotations are how a body may write a text: with <, > and & as they are, and as Go writes them by itself.
func Quotations(text string) ([]string, error) {
	escaped, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		return nil, err
	}
	return slices.Compact([]string{string(escaped), strings.TrimSuffix(plain.String(), "\n")}), nil
}

// each gives the events with one of the ids, and those whose bodies hold one of the texts.
func (s search) each(ctx context.Context, ids []uuid.UUID, quoted pq.StringArray, take func(Event) (more bool)) error {
	more := true
	found := func(e Event, publish bool) {
		if !more {
			return
		}
		if !publish {
			e.Publisher = External
		}
		e.read()
		more = take(e)
	}
	for upto := s.end; upto > 0 && more; upto -= part {
		err := pg.Each(ctx, s.db, "searching the log", mentions, func(row *sql.Rows) error {
			var e Event
			var publish bool
			err := row.Scan(&e.Seq, &e.ID, &e.Type, &e.Version, &e.Tenant, &e.Aggregate, &e.OccurredAt, &e.LoggedAt, &publish, (*[]byte)(&e.Body))
			if err == nil {
				found(e, publish)
			}
			return err
		}, upto-part, upto, s.tenant, pg.UUIDs(ids), quoted)
		if err == nil && more && s.archives != nil && upto-part < s.archives.Cut-1 {
			err = s.archived(upto-part, min(upto, s.archives.Cut-1), ids, quoted, found)
		}
		if err != nil {
			return err
		}
		if s.progress != nil {
			s.progress(min(s.end-upto+part, s.end), s.end)
		}
	}
	return nil
}

// archived is each in the archives, between two places.
func (s search) archived(after, upto int64, ids []uuid.UUID, quoted []string, found func(e Event, publish bool)) error {
	return s.archives.Frames(after, upto, true, func(rows []archive.Row) error {
		for i := range rows {
			r := &rows[i]
			if s.tenant != "" && r.Tenant != s.tenant ||
				!slices.Contains(ids, r.EventID) && !slices.ContainsFunc(quoted, func(text string) bool { return strings.Contains(r.Body, text) }) {
				continue
			}
			found(Event{
				Seq: r.Seq, ID: r.EventID, Type: r.Type, Version: r.Version, Tenant: r.Tenant, Aggregate: r.Aggregate, OccurredAt: r.OccurredAt, LoggedAt: r.LoggedAt,
				Archived: true, Body: json.RawMessage(r.Body),
			}, r.Publish)
		}
		return nil
	})
}

// event gives the event with the id, if the log has it.
func (s search) event(ctx context.Context, id uuid.UUID) (found *Event, err error) {
	err = s.each(ctx, []uuid.UUID{id}, pq.StringArray{}, func(e Event) bool { found = &e; return false })
	return found, err
}

// Find finds what q names, with what it follows from, what follows from it, and where all of that is.
func Find(ctx context.Context, db *store.DB, q Query) (found Found, err error) {
	s := search{db: db, tenant: q.Tenant, archives: q.Archives, progress: q.Progress}
	if s.end, err = eventlog.End(ctx, db); err != nil {
		return found, err
	}
	named, err := s.named(ctx, q, &found.More)
	if err != nil || len(named) == 0 {
		return found, err
	}
	all, err := s.relatives(ctx, named)
	if err != nil {
		return found, err
	}
	found.Events = tree(all)
	return found, deliveries(ctx, db, found.Events)
}

// named gives the event that has the name as its id, else the newest that mention the name, or what all those are of.
func (s search) named(ctx context.Context, q Query, more *bool) (map[uuid.UUID]Event, error) {
	if id, err := uuid.Parse(q.Name); err == nil {
		if e, err := s.event(ctx, id); err != nil || e != nil {
			return map[uuid.UUID]Event{id: asNamed(e)}, err
		}
	}
	named, err := s.newest(ctx, q.Limit, more, q.Name)
	if about := aggregate(named); err == nil && about != "" && about != q.Name {
		return s.newest(ctx, q.Limit, more, q.Name, about)
	}
	return named, err
}

func asNamed(e *Event) (named Event) {
	if e != nil {
		named, named.Named = *e, true
	}
	return named
}

// newest gives the newest events that mention one of the names.
func (s search) newest(ctx context.Context, limit int, more *bool, names ...string) (map[uuid.UUID]Event, error) {
	named := map[uuid.UUID]Event{}
	err := s.mentioning(ctx, names, func(e Event) bool {
		if *more = limit > 0 && len(named) == limit; !*more {
			named[e.ID] = asNamed(&e)
		}
		return !*more
	})
	return named, err
}

// aggregate is what all the events are of: an order has a number for people, and an id by which later events know it.
// It is empty for one event, which is named itself, and where they are of several.
func aggregate(named map[uuid.UUID]Event) (about string) {
	if len(named) < 2 {
		return ""
	}
	for _, e := range named {
		if about != "" && e.Aggregate != about {
			return ""
		}
		about = e.Aggregate
	}
	return about
}

// Get gives one event, with where its deliveries are; nil where the log has none with this id, nor the archives, unless
// these are nil.
func Get(ctx context.Context, db *store.DB, id uuid.UUID, archives *archive.Folder, progress func(read, all int64)) (found *Event, err error) {
	s := search{db: db, archives: archives, progress: progress}
	if s.end, err = eventlog.End(ctx, db); err != nil {
		return nil, err
	}
	if found, err = s.event(ctx, id); err != nil || found == nil {
		return nil, err
	}
	one := []Event{asNamed(found)}
	err = deliveries(ctx, db, one)
	return &one[0], err
}

// relatives adds to the named events all that share a tree with them.
func (s search) relatives(ctx context.Context, named map[uuid.UUID]Event) (map[uuid.UUID]Event, error) {
	families := map[string]bool{}
	all := maps.Clone(named)
	unread := maps.Clone(named)    // named events that the second reading has not come to
	causes := map[uuid.UUID]bool{} // that have not been read yet
	note := func(e Event) (many bool) {
		delete(unread, e.ID)
		delete(causes, e.ID)
		if cause, err := uuid.Parse(e.CausationID); err == nil {
			causes[cause] = true
		}
		return len(all) > maxFamily
	}
	for _, e := range named {
		families[e.family()] = true
	}
	many := false
	err := s.mentioning(ctx, slices.Sorted(maps.Keys(families)), func(e Event) bool {
		if _, known := all[e.ID]; !known {
			all[e.ID] = e
		}
		many = note(e)
		return !many && len(unread)+len(causes) > 0
	})
	if err == nil && many {
		err = fmt.Errorf("%w: more than %d share a correlation id with it; name an event of them", ErrMany, maxFamily)
	}
	return all, err
}

// tree orders events by what they follow from, and leaves out what neither leads to a named event nor follows from one.
func tree(all map[uuid.UUID]Event) []Event {
	children := map[string][]Event{}
	for _, e := range all {
		cause := e.CausationID
		if id, err := uuid.Parse(cause); err != nil || all[id].Seq == 0 {
			cause = ""
		}
		children[cause] = append(children[cause], e)
	}
	for _, list := range children {
		slices.SortFunc(list, func(a, b Event) int { return cmp.Compare(a.Seq, b.Seq) })
	}
	var below func(cause string, depth int, named bool) []Event
	below = func(cause string, depth int, named bool) (list []Event) {
		for _, e := range children[cause] {
			e.Depth = depth
			follows := below(e.ID.String(), depth+1, named || e.Named)
			if named || e.Named || len(follows) > 0 {
				list = append(append(list, e), follows...)
			}
		}
		return list
	}
	return below("", 0, false)
}
