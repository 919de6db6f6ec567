package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// Projection is a read model that is a fold over the log.
type Projection struct {
	Name string
	// Version is raised when Fold gives other rows than before.
	Version int
	// Worker keeps the live tables from its queue. "": the tables are no read model, and are only compared.
	Worker string
	// Tables are in the order in which the worker locks them.
	Tables []Table
	Types  []event.Type
	// Fold writes events to the tables. See the package's first invariant.
	Fold func(ctx context.Context, tx store.Tx, events []event.Any) error
	// Once: Fold adds up, so that the tables have each event that the worker has handled once, and no other (once.go).
	Once bool
	// Opens: a rebuild may begin with the opening balances in place of the events that are archived.
	Opens bool
	// Archives, unless nil, are read before the log.
	Archives *archive.Folder
}

// Table is a table of a projection. Names and conditions are constants of the program.
type Table struct {
	Name string
	// Key are the columns that identify a row.
	Key []string
	// Columns are compared beside Key; none: all.
	Columns []string
	// Where chooses the live rows that are compared; "": all.
	Where string
	// Identity is a column that is generated always as identity, by which tables of no projection know a row; "": none.
	// The worker makes a row for each Key, so that the rest of its columns have defaults.
	Identity string
}

// Errors of a projection's state.
var (
	ErrRunning    = errors.New("another process is at work on it; wait for it, or end it and try again after three seconds")
	ErrNoRebuild  = errors.New("there is no rebuild of it; begin one by `composerp projections rebuild`")
	ErrUnderway   = errors.New("a rebuild is in progress; switch to it or cancel it first")
	ErrNothing    = errors.New("there are no kept tables")
	ErrNoReadable = errors.New("it is not read through a switch: compare it by diff; it cannot be switched")
	// ErrBusy: the live tables were locked by others each time.
	ErrBusy = errors.New("the live tables are in use by long transactions; nothing has changed; try again")
)

// State is how a projection stands.
type State struct {
	Name string `json:"name" db:"-"`
	// Version is the program's, Live the live tables'.
	Version int      `json:"version" db:"-"`
	Live    int      `json:"liveVersion" db:"version"`
	Tables  []string `json:"tables" db:"-"`
	Rows    int64    `json:"rows" db:"-"`
	// Rebuild is the version that is being rebuilt, nil for none.
	Rebuild  *int       `json:"rebuildVersion" db:"rebuild_version"`
	Began    *time.Time `json:"rebuildBeganAt" db:"rebuild_began_at"`
	Moved    *time.Time `json:"rebuildMovedAt" db:"rebuild_moved_at"`
	Events   int64      `json:"rebuildEvents" db:"rebuild_events"`
	Behind   int64      `json:"rebuildBehind" db:"-"`
	Switched *time.Time `json:"switchedAt" db:"switched_at"`
	Kept     *int       `json:"keptVersion" db:"kept_version"`
	KeptTick *int64     `json:"-" db:"kept_tick"`
}

// Standing is a rebuild that nothing has moved for a while.
type Standing struct {
	Name  string    `db:"name"`
	Moved time.Time `db:"rebuild_moved_at"`
	// Seconds are how long ago that was.
	Seconds int64 `db:"seconds"`
}

var standingRebuilds = pg.SQL(`
SELECT name, rebuild_moved_at, greatest(0, extract(epoch FROM clock_timestamp() - rebuild_moved_at))::bigint AS seconds FROM projection
WHERE rebuild_version IS NOT NULL AND rebuild_moved_at < clock_timestamp() - make_interval(secs => $1) ORDER BY name`)

// StandingRebuilds are the rebuilds that have not moved for so long. Each keeps the log's ticks since then from being
// thinned out.
func StandingRebuilds(ctx context.Context, db *store.DB, forSo time.Duration) ([]Standing, error) {
	return pg.List[Standing](ctx, db, "reading the rebuilds that stand still", standingRebuilds, forSo.Seconds())
}

// Behind is about how many log positions the rebuild of a projection has not read.
func Behind(ctx context.Context, db *store.DB, name string) (int64, error) {
	return eventlog.Lag(ctx, db, Projection{Name: name}.cursor())
}

var readState = pg.SQL(`
SELECT version, rebuild_version, rebuild_began_at, rebuild_moved_at, rebuild_events, switched_at, kept_version, kept_tick FROM projection WHERE name = $1`)

// Read tells how a projection stands. It counts the rows of its live tables.
func Read(ctx context.Context, db *store.DB, p Projection) (State, error) {
	s, err := pg.One[State](ctx, db, "reading the projection "+p.Name, readState, p.Name)
	if errors.Is(err, store.ErrNotFound) {
		s, err = State{Live: p.Version}, nil
	}
	if err != nil {
		return s, err
	}
	s.Name, s.Version, s.Tables = p.Name, p.Version, p.tables()
	for _, t := range s.Tables {
		var rows int64
		if err := pg.Pool(db).QueryRowContext(ctx, "SELECT count(*) FROM "+t).Scan(&rows); err != nil {
			return s, fmt.Errorf("counting the rows of %s: %w", t, pg.MapError(err))
		}
		s.Rows += rows
	}
	if s.Rebuild != nil {
		s.Behind, err = eventlog.Lag(ctx, db, p.cursor())
	}
	return s, err
}

func (p Projection) tables() []string {
	names := make([]string, len(p.Tables))
	for i, t := range p.Tables {
		names[i] = t.Name
	}
	return names
}

// cursor is the name of the rebuild's cursor and lease.
func (p Projection) cursor() string { return "projection." + p.Name }

// folded decodes the events that the projection is made of, upcast to the current versions.
func (p Projection) folded(entries []eventlog.Entry) ([]event.Any, error) {
	wanted := make(map[event.Type]bool, len(p.Types))
	for _, t := range p.Types {
		wanted[t] = true
	}
	var events []event.Any
	for i := range entries {
		if !wanted[entries[i].Type] {
			continue
		}
		e, err := event.Decode(entries[i].Body)
		if err != nil {
			return nil, fmt.Errorf("reading event %s at log position %d for %s: %w", entries[i].EventID, entries[i].Seq, p.Name, err)
		}
		e.LogSeq = entries[i].Seq
		events = append(events, e)
	}
	return events, nil
}

func raw(tx store.Tx) *sql.Tx { return pg.RawTx(tx) }
