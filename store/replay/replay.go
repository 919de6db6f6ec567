package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/archive"
	"github.com/composerp/composerp/store/eventquery"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
	"github.com/composerp/composerp/store/operatorlog"
)

// Target is the kind of place that events are replayed to.
type Target string

// The kinds of targets: a worker's queue, an exchange that is not the fleet's, a file.
const (
	Queue    Target = "queue"
	Exchange Target = "exchange"
	File     Target = "file"
)

// State is what has become of a replay.
type State string

// The states. A replay whose process was killed stays running until Resume or Cancel; Stalled tells.
const (
	Running     State = "running"
	Interrupted State = "interrupted"
	Done        State = "done"
	Cancelled   State = "cancelled"
)

// ErrTakenOver means that another process runs the replay, or that it was cancelled or is done.
var ErrTakenOver = errors.New("the replay is no longer this process's: it was cancelled, or another process has resumed it")

// Asked is what a replay is asked for.
type Asked struct {
	Target Target
	// Name is the worker, the exchange or the absolute path of the file.
	Name   string
	Filter eventquery.Filter
	Again  bool // also what the inbox has
	Rate   int  // events a second; 0: no limit
	// Archives, unless nil, are read before the log.
	Archives *archive.Folder
}

// Replay is a replay and how far it has come.
type Replay struct {
	ID       int64           `db:"id" json:"id"`
	AskedAt  time.Time       `db:"asked_at" json:"askedAt"`
	Operator string          `db:"operator" json:"operator"`
	Reason   string          `db:"reason" json:"reason"`
	Target   Target          `db:"target" json:"target"`
	Name     string          `db:"name" json:"name"`
	Filter   json.RawMessage `db:"filter" json:"filter"`
	Again    bool            `db:"again" json:"again"`
	Rate     int             `db:"rate" json:"rate"`
	// What the tick with this snapshot had seen, past First and up to Last, is replayed.
	Epoch    int    `db:"epoch" json:"-"`
	Snapshot string `db:"snapshot" json:"-"`
	First    int64  `db:"first_seq" json:"first"`
	Last     int64  `db:"last_seq" json:"last"`

	State    State      `db:"state" json:"state"`
	Term     int64      `db:"term" json:"-"`
	At       int64      `db:"at_seq" json:"at"`
	Events   int64      `db:"events" json:"events"`     // confirmed, or written
	Unrouted int64      `db:"unrouted" json:"unrouted"` // of them, those that no queue of the exchange took
	Bytes    int64      `db:"bytes" json:"bytes"`       // length of the file
	MovedAt  time.Time  `db:"moved_at" json:"movedAt"`
	EndedAt  *time.Time `db:"ended_at" json:"endedAt,omitempty"`
	// Stalled: it says running, and its cursor has not moved for half a minute: its process was killed.
	Stalled bool `db:"stalled" json:"stalled"`
}

const columns = `id, asked_at, operator, reason, target, name, filter, again, rate, epoch, snapshot::text AS snapshot, first_seq, last_seq,
    state, term, at_seq, events, unrouted, bytes, moved_at, ended_at,
    state = 'running' AND moved_at < clock_timestamp() - interval '30 seconds' AS stalled`

var insertReplay = pg.SQL(`
INSERT INTO replay (operator, reason, target, name, filter, again, rate, epoch, snapshot, first_seq, last_seq, at_seq)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9::pg_snapshot, $10, $11, $10)
RETURNING ` + columns)

// Begin enters a replay, and its entry in the operator log.
func Begin(ctx context.Context, db *store.DB, by operatorlog.By, asked Asked) (r Replay, err error) {
	narrowed, err := written(&asked.Filter)
	if err != nil {
		return r, err
	}
	q := eventquery.Query{Filter: asked.Filter, Archives: asked.Archives}
	if q.Seen, err = eventquery.NewestMark(ctx, db); err != nil {
		return r, err
	}
	first, last, err := q.Bounds(ctx, db)
	if err != nil {
		return r, err
	}
	err = db.InTx(ctx, func(tx store.Tx) error {
		if err := pg.Get(ctx, tx, &r, insertReplay, by.Operator, by.Reason, string(asked.Target), asked.Name, narrowed, asked.Again, asked.Rate,
			q.Seen.Epoch, q.Seen.Snapshot, first, max(first, last)); err != nil {
			return err
		}
		return operatorlog.Note(ctx, tx, by, "replay", r.subject(), nil, map[string]any{"replay": r.ID, "filter": r.Filter, "again": r.Again, "rate": r.Rate})
	})
	if err != nil {
		return Replay{}, fmt.Errorf("entering a replay: %w", err)
	}
	return r, nil
}

// subject names the target in the operator log; the row has a file's whole path.
func (r *Replay) subject() string { return fmt.Sprintf("%s %s", r.Target, filepath.Base(r.Name)) }

// Query is what is left to read.
func (r *Replay) Query() (q eventquery.Query, err error) {
	if q.Filter, err = read(r.Filter); err != nil {
		return q, err
	}
	q.After = r.At
	q.Seen = eventquery.Mark{Epoch: r.Epoch, Snapshot: r.Snapshot, MaxSeq: r.Last}
	return q, nil
}

var getReplay = pg.SQL(`SELECT ` + columns + ` FROM replay WHERE id = $1`)

// Get reads a replay; ErrNotFound when there is none of that number.
func Get(ctx context.Context, db *store.DB, id int64) (Replay, error) {
	return pg.One[Replay](ctx, db, fmt.Sprintf("reading replay %d", id), getReplay, id)
}

var listReplays = pg.SQL(`SELECT ` + columns + ` FROM replay ORDER BY id DESC LIMIT $1`)

// List reads the newest replays first; limit 0: all.
func List(ctx context.Context, db *store.DB, limit int) ([]Replay, error) {
	return pg.List[Replay](ctx, db, "reading the replays", listReplays, sqlvalue.AtMost(limit))
}

var moveReplay = pg.SQL(`
UPDATE replay SET at_seq = greatest(at_seq, $3), events = $4, unrouted = $5, bytes = $6, moved_at = clock_timestamp()
WHERE id = $1 AND term = $2 AND state = 'running' AND at_seq <= $3`)

// Move writes where the replay is: At and the counts. ErrTakenOver when it is not this process's.
func (r *Replay) Move(ctx context.Context, db *store.DB) error {
	n, err := pg.Repeat(ctx, db, moveReplay, r.ID, r.Term, r.At, r.Events, r.Unrouted, r.Bytes)
	if err == nil && n == 0 {
		err = ErrTakenOver
	}
	if err != nil {
		return fmt.Errorf("moving replay %d to position %d: %w", r.ID, r.At, err)
	}
	return nil
}

var leaveReplay = pg.SQL(`
UPDATE replay SET state = $3, moved_at = clock_timestamp(), ended_at = CASE $3 WHEN 'done' THEN clock_timestamp() END
WHERE id = $1 AND term = $2 AND state IN ('running', $3)`)

// Leave ends this process's part: Done, or Interrupted. A replay that is not this process's stays as it is.
func (r *Replay) Leave(ctx context.Context, db *store.DB, state State) error {
	if _, err := pg.Repeat(ctx, db, leaveReplay, r.ID, r.Term, string(state)); err != nil {
		return fmt.Errorf("noting that replay %d is %s: %w", r.ID, state, err)
	}
	r.State = state
	return nil
}

var resumeReplay = pg.SQL(`
UPDATE replay SET state = 'running', term = term + 1, moved_at = clock_timestamp()
WHERE id = $1 AND state IN ('running', 'interrupted') RETURNING ` + columns)

// Resume takes a replay over. ErrTakenOver when it is done or cancelled.
func Resume(ctx context.Context, db *store.DB, by operatorlog.By, id int64) (Replay, error) {
	return change(ctx, db, by, "replay resume", id, resumeReplay)
}

var cancelReplay = pg.SQL(`
UPDATE replay SET state = 'cancelled', term = term + 1, ended_at = clock_timestamp()
WHERE id = $1 AND state IN ('running', 'interrupted') RETURNING ` + columns)

// Cancel ends a replay for good; its process stops at its next page. ErrTakenOver when it is done or cancelled.
func Cancel(ctx context.Context, db *store.DB, by operatorlog.By, id int64) (Replay, error) {
	return change(ctx, db, by, "replay cancel", id, cancelReplay)
}

func change(ctx context.Context, db *store.DB, by operatorlog.By, action string, id int64, statement pg.Statement) (r Replay, err error) {
	was, err := Get(ctx, db, id)
	if err != nil {
		return r, err
	}
	err = db.InTx(ctx, func(tx store.Tx) error {
		if err := pg.Get(ctx, tx, &r, statement, id); err != nil {
			if errors.Is(err, store.ErrNotFound) {
				err = ErrTakenOver
			}
			return err
		}
		return operatorlog.Note(ctx, tx, by, action, r.subject(), map[string]any{"replay": id, "state": was.State}, map[string]any{"state": r.State})
	})
	if err != nil {
		return Replay{}, fmt.Errorf("%s %d, which is %s: %w", action, id, was.State, err)
	}
	return r, nil
}
