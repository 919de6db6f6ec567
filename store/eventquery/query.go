package eventquery

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
	"github.com/composerp/composerp/store/trace"
)

// Event is an event of the log.
type Event struct {
	Seq        int64           `json:"seq"` // its place in the log
	ID         uuid.UUID       `json:"eventId"`
	Type       string          `json:"eventType"`
	Version    string          `json:"version"`
	Tenant     string          `json:"tenantId"`
	Aggregate  string          `json:"aggregateId"`
	OccurredAt time.Time       `json:"timestamp"`           // business time
	LoggedAt   *time.Time      `json:"loggedAt,omitempty"`  // nil for one of a version that did not note it
	Publisher  string          `json:"publisher,omitempty"` // external for one that came over AMQP
	Body       json.RawMessage `json:"event,omitempty"`     // the envelope as published; nil for one that is no JSON
}

// Query is what to read, and how.
type Query struct {
	Filter
	// Limit is the most events to hand on; 0: all.
	Limit int
	// Reverse reads from the log's end.
	Reverse bool
	// Seen: only what this tick has seen, by its Epoch, Snapshot and MaxSeq. The zero Mark: all that is committed.
	Seen Mark
	// Archives, unless nil, are read before the log.
	Archives *archive.Folder
	// Progress, if set, is called with how many places of the log have been read, and how many there are.
	Progress func(read, all int64)
}

// Result is how a query ended.
type Result struct {
	More bool // the limit was reached before the log's end
	// Unreadable counts the events whose body PostgreSQL cannot read as JSON: no condition on a body holds for them.
	Unreadable int
}

const (
	// part is how many places of the log one statement reads at most: a fraction of a second, also where each body is
	// read as JSON.
	part = 50_000
	// A page is bounded by both.
	pageRows  = 2000
	pageBytes = 4 << 20
)

const selectEvents = `SELECT e.seq, e.event_id, e.type, e.version, e.tenant_id, e.aggregate_id, e.occurred_at, e.logged_at, e.publish, e.body FROM event_log e WHERE `

// between are the places of a part, and of these what a tick has seen, if one is given.
var between = ` AND e.seq > $15 AND e.seq <= $16 AND ($18::pg_snapshot IS NULL OR ` + eventlog.SeenBySQL("$17::int", "$18") + `)`

var (
	forward  = pg.SQL(selectEvents + matchSQL + between + ` ORDER BY e.seq LIMIT $19`)
	backward = pg.SQL(selectEvents + matchSQL + between + ` ORDER BY e.seq DESC LIMIT $19`)
)

// reading is a query at work.
type reading struct {
	db     *store.DB
	q      Query
	match  []any
	take   func([]Event) error
	left   int // how many may still be handed on; below 0: any number
	result Result
	seen   Mark // only what it has seen; the zero Mark: all that is committed
	read   int64
	all    int64
}

// errEnough ends a page that has enough bytes, errLimit a query that has enough events.
var (
	errEnough = errors.New("the page is full")
	errLimit  = errors.New("the limit is reached")
)

// Each hands on the events of a query in the order of the log, page by page: each page is new. It ends with the error
// of take, if that gives one.
func Each(ctx context.Context, db *store.DB, q Query, take func([]Event) error) (Result, error) {
	r, err := begin(ctx, db, q, take)
	if err != nil {
		return Result{}, err
	}
	from, to, err := q.Bounds(ctx, db)
	if err != nil {
		return Result{}, err
	}
	err = r.complete(ctx, from, func() error { return r.run(ctx, from, to) })
	return r.result, err
}

func begin(ctx context.Context, db *store.DB, q Query, take func([]Event) error) (*reading, error) {
	if err := q.check(ctx, db); err != nil {
		return nil, err
	}
	match, err := q.match(ctx, db)
	if err != nil {
		return nil, err
	}
	r := &reading{db: db, q: q, match: match, take: take, left: -1, seen: q.Seen}
	if q.Limit > 0 {
		r.left = q.Limit
	}
	return r, nil
}

// run reads the places past from and up to to, part by part.
func (r *reading) run(ctx context.Context, from, to int64) error {
	r.all = max(0, to-from)
	for r.read < r.all {
		n := min(part, r.all-r.read)
		low := from + r.read
		if r.q.Reverse {
			low = to - r.read - n
		}
		if err := r.places(ctx, low, low+n); err != nil {
			if errors.Is(err, errLimit) {
				return nil
			}
			return err
		}
		r.read += n
		r.tell()
		if r.left == 0 && r.read < r.all {
			r.result.More = true
			return nil
		}
	}
	return nil
}

func (r *reading) tell() {
	if r.q.Progress != nil {
		r.q.Progress(r.read, r.all)
	}
}

// part reads places page by page. Where a body cannot be read as JSON it divides them until that event is alone, and
// passes it.
func (r *reading) part(ctx context.Context, low, high int64) error {
	for low < high {
		events, err := r.page(ctx, low, high)
		if isUnreadable(err) {
			if high-low == 1 {
				r.result.Unreadable++
				return nil
			}
			middle := low + (high-low)/2
			halves := [][2]int64{{low, middle}, {middle, high}}
			if r.q.Reverse {
				halves[0], halves[1] = halves[1], halves[0]
			}
			for _, half := range halves {
				if err := r.part(ctx, half[0], half[1]); err != nil {
					return err
				}
			}
			return nil
		}
		if err != nil || len(events) == 0 {
			return err
		}
		if r.q.Reverse {
			high = events[len(events)-1].Seq - 1
		} else {
			low = events[len(events)-1].Seq
		}
		if err := r.hand(events); err != nil {
			return err
		}
	}
	return nil
}

// page reads the next events; none: there are no more.
func (r *reading) page(ctx context.Context, low, high int64) (events []Event, err error) {
	statement, most := forward, pageRows
	if r.q.Reverse {
		statement = backward
	}
	if r.left >= 0 {
		most = min(most, r.left+1) // one more tells whether there are more
	}
	doing := fmt.Sprintf("reading the log between places %d and %d", low, high)
	events, _, err = r.collect(ctx, doing, statement, low, high, r.seen.Epoch, sqlvalue.Nullable(r.seen.Snapshot), most)
	return events, err
}

// collect reads the events that match and a statement gives, until they are a page. full: there may be more.
func (r *reading) collect(ctx context.Context, doing string, statement pg.Statement, more ...any) (events []Event, full bool, err error) {
	size := 0
	err = pg.Each(ctx, r.db, doing, statement, func(row *sql.Rows) error {
		e, err := scan(row)
		if err != nil {
			return err
		}
		events = append(events, e)
		if size += len(e.Body); size >= pageBytes {
			return errEnough
		}
		return nil
	}, append(slices.Clip(r.match), more...)...)
	if errors.Is(err, errEnough) {
		return events, true, nil
	}
	return events, false, err
}

// hand hands on a page, as far as the limit allows.
func (r *reading) hand(events []Event) error {
	if r.left >= 0 && len(events) > r.left {
		events, r.result.More = events[:r.left], true
	}
	if len(events) > 0 {
		if err := r.take(events); err != nil {
			return err
		}
	}
	if r.left >= 0 {
		r.left -= len(events)
	}
	if r.result.More {
		return errLimit
	}
	return nil
}

func scan(row *sql.Rows) (e Event, err error) {
	var publish bool
	var body []byte
	if err := row.Scan(&e.Seq, &e.ID, &e.Type, &e.Version, &e.Tenant, &e.Aggregate, &e.OccurredAt, &e.LoggedAt, &publish, &body); err != nil {
		return e, err
	}
	if !publish {
		e.Publisher = trace.External
	}
	if json.Valid(body) {
		e.Body = body
	}
	return e, nil
}

// isUnreadable: a body is no JSON, or has a character that jsonb cannot hold.
func isUnreadable(err error) bool {
	refused, ok := errors.AsType[*pq.Error](err)
	return ok && (refused.Code == "22P02" || refused.Code == "22P05")
}
