package process

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/internal/sqlvalue"
)

// Listed is an instance for display.
type Listed struct {
	Key
	State     string    `db:"state" json:"state"` // "": it has not begun
	Steps     int64     `db:"version" json:"steps"`
	Final     bool      `db:"final" json:"final"`
	BegunAt   time.Time `db:"begun_at" json:"begunAt"`
	ChangedAt time.Time `db:"changed_at" json:"changedAt"`
	// NextTimer is the timer that is due first, and NextDue when; "": it has none.
	NextTimer string     `db:"next_timer" json:"nextTimer,omitempty"`
	NextDue   *time.Time `db:"next_due" json:"nextDue,omitempty"`
	// Stuck is why the instance does not go on as it should; "": it does.
	Stuck string `db:"stuck" json:"stuck,omitempty"`
}

// An instance i is stuck when its last timer failed, when a timer is overdue by five minutes, and when it has kept an
// input for a day without having begun.
const stuckSQL = `
CASE WHEN i.final THEN ''
     WHEN i.trouble <> '' THEN i.trouble
     WHEN EXISTS (SELECT FROM process_timer t WHERE t.tenant_id = i.tenant_id AND t.process = i.process AND t.correlation = i.correlation
                                                AND t.due_at < clock_timestamp() - interval '5 minutes') THEN 'a timer is overdue: does its worker run?'
     WHEN i.state = '' AND i.begun_at < clock_timestamp() - interval '1 day' THEN 'it has kept inputs for a day and has not begun'
     ELSE '' END`

const listedSQL = `
SELECT i.tenant_id, i.process, i.correlation, i.state, i.version, i.final, i.begun_at, i.changed_at,
       coalesce(n.name, '') AS next_timer, n.due_at AS next_due, ` + stuckSQL + ` AS stuck
FROM process_instance i
LEFT JOIN LATERAL (SELECT t.name, t.due_at FROM process_timer t WHERE t.tenant_id = i.tenant_id AND t.process = i.process AND t.correlation = i.correlation
                   ORDER BY t.due_at LIMIT 1) n ON true`

// Filter selects instances; empty fields select all.
type Filter struct {
	Tenant, Process, State string
	All                    bool // also those that have ended
	Stuck                  bool // only those that are stuck
}

var list = pg.SQL(`
SELECT * FROM (` + listedSQL + `
WHERE ($1 = '' OR i.tenant_id = $1) AND ($2 = '' OR i.process = $2) AND ($3 = '' OR i.state = $3) AND ($4 OR NOT i.final)) l
WHERE NOT $5 OR l.stuck <> ''
ORDER BY l.changed_at DESC, l.tenant_id, l.process, l.correlation LIMIT $6`)

// List returns the instances of a filter, the one that moved last first, at most limit of them; 0 means all.
func List(ctx context.Context, db *store.DB, f Filter, limit int) ([]Listed, error) {
	return pg.List[Listed](ctx, db, "listing processes", list, f.Tenant, f.Process, f.State, f.All || f.State != "", f.Stuck, sqlvalue.AtMost(limit))
}

// An order is known by its number as well.
var find = pg.SQL(listedSQL + `
WHERE ($2 = '' OR i.tenant_id = $2) AND ($3 = '' OR i.process = $3)
  AND (i.correlation = $1 OR i.correlation IN (SELECT o.purchase_order_id FROM purchase_order o WHERE o.tenant_id = i.tenant_id AND o.po_number = $1))
ORDER BY i.tenant_id, i.process, i.correlation`)

// Find returns the instances whose correlation has a name, which may be an order's number.
func Find(ctx context.Context, db *store.DB, name, tenant, process string) ([]Listed, error) {
	return pg.List[Listed](ctx, db, fmt.Sprintf("looking for the process of %s", name), find, name, tenant, process)
}

// Taken is a step of an instance for display.
type Taken struct {
	Input   string    `db:"input" json:"input"`
	InputID uuid.UUID `db:"input_id" json:"inputId"`
	From    string    `db:"from_state" json:"from,omitempty"`
	To      string    `db:"to_state" json:"to"`
	Late    bool      `db:"late" json:"late,omitempty"` // it changed nothing
	At      time.Time `db:"occurred_at" json:"timestamp"`
	TakenAt time.Time `db:"taken_at" json:"takenAt"`
	By      string    `db:"by" json:"by,omitempty"`
	Note    string    `db:"note" json:"note,omitempty"`
}

var steps = pg.SQL(`
SELECT input, input_id, from_state, to_state, kind = 'late' AS late, occurred_at, taken_at, by, note FROM process_step
WHERE tenant_id = $1 AND process = $2 AND correlation = $3 ORDER BY ordinal`)

// Steps returns what an instance went through.
func Steps(ctx context.Context, db *store.DB, k Key) ([]Taken, error) {
	return pg.List[Taken](ctx, db, "reading the steps of a process", steps, k.Tenant, k.Process, k.Correlation)
}

// SetTimer is a timer that is set.
type SetTimer struct {
	Name     string    `db:"name" json:"name"`
	DueAt    time.Time `db:"due_at" json:"dueAt"`
	Failures int       `db:"failures" json:"failures,omitempty"`
}

var timers = pg.SQL(`SELECT name, due_at, failures FROM process_timer WHERE tenant_id = $1 AND process = $2 AND correlation = $3 ORDER BY due_at`)

// Timers returns the timers of an instance, the next one first.
func Timers(ctx context.Context, db *store.DB, k Key) ([]SetTimer, error) {
	return pg.List[SetTimer](ctx, db, "reading the timers of a process", timers, k.Tenant, k.Process, k.Correlation)
}

// Waiting is an input that the instance could not take yet.
type Waiting struct {
	Input   string    `db:"input" json:"input"`
	InputID uuid.UUID `db:"input_id" json:"inputId"`
	KeptAt  time.Time `db:"kept_at" json:"keptAt"`
}

var waiting = pg.SQL(`SELECT input, input_id, kept_at FROM process_early WHERE tenant_id = $1 AND process = $2 AND correlation = $3 ORDER BY ordinal`)

// Early returns the inputs that an instance could not take yet.
func Early(ctx context.Context, db *store.DB, k Key) ([]Waiting, error) {
	return pg.List[Waiting](ctx, db, "reading the early inputs of a process", waiting, k.Tenant, k.Process, k.Correlation)
}

// Count is how many instances of a process are in a state that is not final, and how many of them are stuck.
type Count struct {
	Process string `db:"process"`
	State   string `db:"state"`
	Open    int64  `db:"open"`
	Stuck   int64  `db:"stuck"`
}

var counts = pg.SQL(`
SELECT process, state, count(*) AS open, count(*) FILTER (WHERE stuck <> '') AS stuck
FROM (SELECT i.process, i.state, ` + stuckSQL + ` AS stuck FROM process_instance i WHERE NOT i.final) i
GROUP BY process, state ORDER BY process, state`)

// Counts returns how many instances are open, by process and state.
func Counts(ctx context.Context, db *store.DB) ([]Count, error) {
	return pg.List[Count](ctx, db, "counting processes", counts)
}
