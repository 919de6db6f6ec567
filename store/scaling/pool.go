package scaling

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
)

// Channel is where a change of pools, nodes or assignments is notified, as a hint.
const Channel = "composerp_scaling"

// Pool is what is desired of a queue.
type Pool struct {
	Queue string `db:"queue"`
	Mode  string `db:"mode"` // Manual or Auto
	// Desired is how many slots the fleet is to have; nil: each node runs what its flags say.
	Desired *int `db:"desired"`
	// Min, Max and DrainSeconds bound the autoscaler. Max is nil where the pool was never in mode auto.
	Min          int     `db:"min"`
	Max          *int    `db:"max"`
	DrainSeconds float64 `db:"drain_seconds"`

	MaxPerNode *int           `db:"max_per_node"`
	Labels     pq.StringArray `db:"labels"` // a node needs all of them
	Paused     bool           `db:"paused"`
	// Until is when an override ends, and Restored what is desired then; nil without one.
	Until     *time.Time `db:"override_until"`
	Restored  *int       `db:"restored"`
	Managed   bool       `db:"managed"`  // the leader assigns its slots
	Revision  int64      `db:"revision"` // grows with each change
	Assigned  int64      `db:"assigned"` // the revision that is assigned
	UpdatedAt time.Time  `db:"updated_at"`
	UpdatedBy string     `db:"updated_by"`
	Reason    string     `db:"reason"`
}

const poolColumns = `queue, mode, desired, min, max, drain_seconds, max_per_node, labels, paused, override_until, restored, managed, revision, assigned, updated_at, updated_by, reason`

// Change is what an operator wants of a queue.
type Change struct {
	Queue   string
	Desired *int // nil: what the flags say
	// For is how long it is wanted; 0: until the next change.
	For time.Duration
	// MaxPerNode, when not nil, replaces the pool's limit; 0 takes it away. Labels, when not nil, replace the pool's.
	MaxPerNode *int
	Labels     []string
}

// Of is a pool after the change. Its times and revision stay.
func (c Change) Of(p Pool) Pool {
	if c.MaxPerNode != nil {
		if p.MaxPerNode = c.MaxPerNode; *p.MaxPerNode == 0 {
			p.MaxPerNode = nil
		}
	}
	if c.Labels != nil {
		p.Labels = c.Labels
	}
	switch {
	case c.For == 0:
		p.Restored = nil
	case p.Until == nil:
		p.Restored = p.Desired
	}
	p.Desired = c.Desired
	return p
}

var lockPool = pg.SQL(`SELECT ` + poolColumns + ` FROM worker_pool WHERE queue = $1 FOR UPDATE`)

var changePool = pg.SQL(`
INSERT INTO worker_pool AS p (queue, desired, max_per_node, labels, override_until, restored, updated_by, reason)
VALUES ($1, $2, $3, $4, CASE WHEN $5::float8 > 0 THEN clock_timestamp() + make_interval(secs => $5) END, $6, $7, $8)
ON CONFLICT (queue) DO UPDATE SET desired = excluded.desired, max_per_node = excluded.max_per_node, labels = excluded.labels,
    override_until = excluded.override_until, restored = excluded.restored, mode = CASE WHEN $5 > 0 THEN p.mode ELSE 'manual' END, revision = p.revision + 1,
    updated_at = clock_timestamp(), updated_by = excluded.updated_by, reason = excluded.reason
RETURNING ` + poolColumns)

// Scale makes all changes in one transaction, and returns the pools before and after them, in their order. The Pool
// before is zero but for its Queue where there was none.
func Scale(ctx context.Context, db *store.DB, by operatorlog.By, changes []Change) (before, after []Pool, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		before, after = nil, nil
		for _, c := range changes {
			was, is, err := c.apply(ctx, tx, by)
			if err != nil {
				return fmt.Errorf("scaling %s: %w", c.Queue, err)
			}
			before, after = append(before, was), append(after, is)
		}
		return hint(ctx, tx)
	})
	return before, after, err
}

func (c Change) apply(ctx context.Context, tx store.Tx, by operatorlog.By) (was, is Pool, err error) {
	if was, err = lockedPool(ctx, tx, c.Queue); err != nil {
		return was, is, err
	}
	to := c.Of(was)
	if err := pg.Get(ctx, tx, &is, changePool, c.Queue, to.Desired, to.MaxPerNode, list(to.Labels), c.For.Seconds(), to.Restored, by.Operator, by.Reason); err != nil {
		return was, is, err
	}
	if err := event(ctx, tx, c.Queue, "", was.Desired, is.Desired, by.Operator, by.Reason); err != nil {
		return was, is, err
	}
	return was, is, operatorlog.Note(ctx, tx, by, "scale", c.Queue, was.noted(), is.noted())
}

// noted is what the operator log has of a pool.
func (p Pool) noted() map[string]any {
	noted := map[string]any{"slots": "flags"}
	if p.Desired != nil {
		noted["slots"] = *p.Desired
	}
	if p.MaxPerNode != nil {
		noted["maxPerNode"] = *p.MaxPerNode
	}
	if len(p.Labels) > 0 {
		noted["labels"] = []string(p.Labels)
	}
	if p.Until != nil {
		noted["until"] = p.Until
	}
	return noted
}

var pausePool = pg.SQL(`
INSERT INTO worker_pool AS p (queue, paused, updated_by, reason) VALUES ($1, $2, $3, $4)
ON CONFLICT (queue) DO UPDATE SET paused = excluded.paused, updated_at = clock_timestamp(), updated_by = excluded.updated_by, reason = excluded.reason
WHERE p.paused <> excluded.paused`)

// Pause has no node consume a queue, or with paused false lets them go on. It reports whether that changes anything.
func Pause(ctx context.Context, db *store.DB, by operatorlog.By, queue string, paused bool) (changed bool, err error) {
	action := map[bool]string{true: "pause", false: "resume"}[paused]
	return act(ctx, db, by, action, queue, paused, func(tx store.Tx) (int64, error) {
		return pg.Exec(ctx, tx, pausePool, queue, paused, by.Operator, by.Reason)
	})
}

var pauseOnNode = pg.SQL(`
UPDATE worker_node SET paused = array_append(array_remove(paused, $2), $2) WHERE id = $1 AND NOT $2 = ANY (paused)`)

var resumeOnNode = pg.SQL(`UPDATE worker_node SET paused = array_remove(paused, $2) WHERE id = $1 AND $2 = ANY (paused)`)

// PauseOn is Pause for one node, until that process ends.
func PauseOn(ctx context.Context, db *store.DB, by operatorlog.By, node, queue string, paused bool) (changed bool, err error) {
	action, statement := "pause", pauseOnNode
	if !paused {
		action, statement = "resume", resumeOnNode
	}
	return act(ctx, db, by, action, queue+" on "+node, paused, func(tx store.Tx) (int64, error) {
		return changeNode(ctx, tx, queue, statement, node, queue)
	})
}

var drainNode = pg.SQL(`UPDATE worker_node SET draining = $2 WHERE id = $1 AND draining <> $2`)

// Drain has a node run no slot until that process ends, or with draining false lets it run some again. The leader
// assigns its slots to others.
func Drain(ctx context.Context, db *store.DB, by operatorlog.By, node string, draining bool) (changed bool, err error) {
	action := map[bool]string{true: "drain", false: "undrain"}[draining]
	return act(ctx, db, by, action, node, draining, func(tx store.Tx) (int64, error) {
		return changeNode(ctx, tx, "", drainNode, node, draining)
	})
}

var reassign = pg.SQL(`UPDATE worker_pool SET revision = revision + 1 WHERE managed AND ($1 = '' OR queue = $1)`)

// changeNode changes what a node may run of a queue, "" for all. Its pools have a new revision then: until the leader
// has assigned that, a command that waits does not take the slots of before for those that are to be.
func changeNode(ctx context.Context, tx store.Tx, queue string, statement pg.Statement, args ...any) (n int64, err error) {
	if n, err = pg.Exec(ctx, tx, statement, args...); err == nil && n > 0 {
		_, err = pg.Exec(ctx, tx, reassign, queue)
	}
	return n, err
}

// act makes a change of a row or none, and notes it when there was one.
func act(ctx context.Context, db *store.DB, by operatorlog.By, action, subject string, on bool, change func(store.Tx) (int64, error)) (changed bool, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		n, err := change(tx)
		if changed = n > 0; err != nil || !changed {
			return err
		}
		if err := operatorlog.Note(ctx, tx, by, action, subject, !on, on); err != nil {
			return err
		}
		return hint(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("%s of %s: %w", action, subject, err)
	}
	return changed, nil
}

var insertEvent = pg.SQL(`INSERT INTO scale_event (queue, node, before, after, by, reason) VALUES ($1, $2, $3, $4, $5, $6)`)

func event(ctx context.Context, tx store.Tx, queue, node string, before, after *int, by, reason string) error {
	return pg.Write(ctx, tx, "recording a scale event", insertEvent, queue, node, before, after, by, reason)
}

var notifyScaling = pg.SQL(`SELECT pg_notify('` + Channel + `', '')`)

// hint tells leader and nodes that there is something to read once the transaction has committed.
func hint(ctx context.Context, tx store.Tx) error {
	var none sql.NullString
	return pg.Get(ctx, tx, &none, notifyScaling)
}

// Event is a row of scale_event. Node "" means the queue as a whole, By "" the leader.
type Event struct {
	At     time.Time `db:"at" json:"at"`
	Queue  string    `db:"queue" json:"queue"`
	Node   string    `db:"node" json:"node,omitempty"`
	Before *int      `db:"before" json:"before"`
	After  *int      `db:"after" json:"after"`
	By     string    `db:"by" json:"by,omitempty"`
	Reason string    `db:"reason" json:"reason,omitempty"`
}

var listEvents = pg.SQL(`SELECT at, queue, node, before, after, by, reason FROM scale_event WHERE queue = $1 ORDER BY id DESC LIMIT $2`)

// Events reads the last changes of a queue's slots, the newest first.
func Events(ctx context.Context, db *store.DB, queue string, limit int) ([]Event, error) {
	return pg.List[Event](ctx, db, "reading the scale events of "+queue, listEvents, queue, limit)
}

var lastChanges = pg.SQL(`SELECT at, queue, node, before, after, by, reason FROM scale_event WHERE node = '' ORDER BY id DESC LIMIT $1`)

// LastChanges reads the last changes of what is desired of any queue, the newest first.
func LastChanges(ctx context.Context, db *store.DB, limit int) ([]Event, error) {
	return pg.List[Event](ctx, db, "reading the last changes of slots", lastChanges, limit)
}

var desiredChanges = pg.SQL(`SELECT at, queue, node, before, after, by, reason FROM scale_event WHERE queue = $1 AND node = '' ORDER BY id`)

// DesiredChanges reads the changes of the number that a queue's pool desires, the oldest first.
func DesiredChanges(ctx context.Context, db *store.DB, queue string) ([]Event, error) {
	return pg.List[Event](ctx, db, "reading what was desired of "+queue, desiredChanges, queue)
}

// Resting is a pool that is to run no slots.
type Resting struct {
	Queue  string `db:"queue"`
	Paused bool   `db:"paused"` // by an operator; else it was scaled to none
	Auto   bool   `db:"auto"`   // the autoscaler wakes it when messages come
	By     string `db:"updated_by"`
	Reason string `db:"reason"`
}

var restingPools = pg.SQL(`
SELECT queue, paused, mode = 'auto' AS auto, updated_by, reason FROM worker_pool WHERE paused OR desired = 0 ORDER BY queue`)

// RestingPools reads the pools that are to run no slots.
func RestingPools(ctx context.Context, db *store.DB) ([]Resting, error) {
	return pg.List[Resting](ctx, db, "reading which workers are to run no slots", restingPools)
}
