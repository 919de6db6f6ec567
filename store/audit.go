package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// # The audit
//
// The audit proves by arithmetic what the rest of this package promises. Each
// check is one statement that looks at everything it is about and names what
// does not add up; it shares no code with the ledger or the harness, and reads
// the events' bodies itself, so that a mistake there is not repeated here.
//
// Invariants:
//
//   - All checks see one state: they run in one REPEATABLE READ transaction,
//     which writes nothing and locks nobody out.
//   - A check never passes because it could not look: what cannot be read is an
//     error, and what there was nothing of has a count of 0.
//
// What is in queues or in a worker's hand cannot be seen from here. Whoever
// calls Audit makes sure that there is nothing (see the package exchange/audit),
// and learns by Proof.Moved whether that was still so when the audit looked.

// The names under which the relay keeps its cursor, the ledger its inbox and
// stockview its own: whose work the tables are that the audit looks at.
const (
	auditedRelay     = "relay"
	auditedLedger    = "ledger"
	auditedStockview = "stockview"
)

// AuditCheck is the outcome of one check.
type AuditCheck struct {
	Name string `json:"name"`
	What string `json:"what"` // what holds when it is OK, as a sentence
	OK   bool   `json:"ok"`
	// Skipped says why nothing could be looked at; then OK means nothing.
	Skipped string `json:"skipped,omitempty"`
	Count   int64  `json:"count"` // how many things were looked at
	Unit    string `json:"unit"`  // what was counted: "events"
	Wrong   int64  `json:"wrong"` // how many of them do not add up
	// Findings are the first of those.
	Findings []AuditFinding `json:"findings"`
}

// AuditFinding names one thing that does not add up. What does not apply is empty.
type AuditFinding struct {
	EventID  string `db:"event_id" json:"eventId,omitempty"`
	Type     string `db:"type" json:"type,omitempty"`
	Consumer string `db:"consumer" json:"consumer,omitempty"`
	Tenant   string `db:"tenant_id" json:"tenantId,omitempty"`
	Item     string `db:"item_id" json:"itemId,omitempty"`
	Location string `db:"location_id" json:"locationId,omitempty"`
	Queue    string `db:"-" json:"queue,omitempty"`
	Problem  string `db:"problem" json:"problem"`
}

// String is the finding as a sentence.
func (f AuditFinding) String() string {
	var b strings.Builder
	name := func(what, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s%s ", what, value)
		}
	}
	name("", f.Type)
	name("event ", f.EventID)
	name("", f.Queue)
	if f.Item != "" {
		name("", strings.Join([]string{f.Tenant, f.Item, f.Location}, "/"))
	}
	if f.Consumer != "" {
		name("for ", f.Consumer+":")
	}
	return b.String() + f.Problem
}

// Proof is what the checks found, all in one state of the database.
type Proof struct {
	Checks []AuditCheck
	Counts AuditCounts
	// Moved is how many events have entered the log since the point that Audit was given.
	Moved int64
}

// verdict ends each check's statement. What stands before it defines judged: a
// row for everything that was looked at, whose problem is null when all is well.
const verdict = `
SELECT t.counted, t.wrong, coalesce(f.event_id::text, '') AS event_id, coalesce(f.type, '') AS type, coalesce(f.consumer, '') AS consumer,
       coalesce(f.tenant_id, '') AS tenant_id, coalesce(f.item_id, '') AS item_id, coalesce(f.location_id, '') AS location_id,
       coalesce(f.problem, '') AS problem
FROM (SELECT count(*) AS counted, count(problem) AS wrong FROM judged) t
LEFT JOIN (SELECT * FROM judged WHERE problem IS NOT NULL ORDER BY place LIMIT 10) f ON true
ORDER BY f.place`

// auditCheck is a check as it is written down.
type auditCheck struct {
	name, what, unit string
	statement        statement
	args             []any
}

// auditChecks are all checks, in the order in which an event goes through the house.
var auditChecks = []auditCheck{
	{"log", "every admitted event is in the log, once, with the body it was admitted with", "events", auditLog, nil},
	{"published", "every event to be published is passed by the relay", "events", auditPublished, []any{auditedRelay}},
	{"handled", "every event is handled once, or dead, for each consumer that owes it", "debts", auditHandled, nil},
	{"implied", "stock moved as the log's events say, and by nothing else", "events", auditImplied, []any{auditedLedger}},
	{"movements", "each position's movements count 1, 2, 3 and each goes on where the one before ended", "movements", auditMovements, nil},
	{"positions", "every position is the sum of its movements", "positions", auditPositions, nil},
	{"balance", "each item sums to zero over real and virtual locations", "items", auditBalance, nil},
	{"told", "each movement was told by one INVENTORY_UPDATED, with the same figures", "movements", auditTold, nil},
	{"stock", "the stock read model is what the positions are", "positions", auditStock, []any{auditedStockview}},
	{"orders", "orders, their lines, what came and what is on order add up; no need has two orders", "orders", auditOrders, nil},
	{"planned", "replenishment counts with what the ledger has", "positions", auditPlanned, []any{auditedReplenishment}},
	{"on order", "planners are shown what replenishment counts with", "positions", auditOnOrder, []any{auditedStockview}},
	{"sent", "each approved order is with its supplier, and no other", "orders", auditSent, []any{auditedProcurement}},
	{"lots", "lots, less what was sold beyond them, are what is on hand", "positions", auditLots, []any{auditedLots}},
}

// auditSettings make the planner and the server treat the audit as what it is:
// few large statements over tables that nobody may have analyzed since they grew.
// No parallel workers: they would take the other core from the fleet, and need
// shared memory that containers are short of.
var auditSettings = sqlText(`
SELECT set_config('statement_timeout', '30min', true), set_config('idle_in_transaction_session_timeout', '1min', true),
       set_config('work_mem', '256MB', true), set_config('jit', 'off', true), set_config('enable_seqscan', 'on', true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('enable_mergejoin', 'off', true)`)

// Audit runs every check. since is the LogState.Point that Proof.Moved is
// counted from. said, which may be nil, is told the name of each check before it runs.
func (db *DB) Audit(ctx context.Context, since string, said func(check string)) (Proof, error) {
	var proof Proof
	err := db.inAudit(ctx, func(tx *Tx) error {
		state, err := tx.logState(ctx, since)
		if err != nil {
			return err
		}
		proof.Moved = state.Moved
		for _, check := range auditChecks {
			if said != nil {
				said(check.name)
			}
			outcome, err := tx.audit(ctx, check)
			if err != nil {
				return fmt.Errorf("auditing %s: %w", check.name, err)
			}
			proof.Checks = append(proof.Checks, outcome)
		}
		proof.Counts, err = tx.auditCounts(ctx)
		return err
	})
	return proof, err
}

// inAudit runs do in a transaction that sees one state and changes nothing.
func (db *DB) inAudit(ctx context.Context, do func(tx *Tx) error) error {
	inner, err := db.pool.BeginTxx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return fmt.Errorf("beginning an audit: %w", mapCall(ctx, err))
	}
	tx := &Tx{db: db, tx: inner}
	if _, err := tx.exec(ctx, auditSettings); err != nil {
		return errors.Join(fmt.Errorf("beginning an audit: %w", err), tx.Rollback())
	}
	return errors.Join(do(tx), tx.Rollback())
}

func (tx *Tx) audit(ctx context.Context, check auditCheck) (AuditCheck, error) {
	var rows []struct {
		Counted int64 `db:"counted"`
		Wrong   int64 `db:"wrong"`
		AuditFinding
	}
	if err := tx.selectAll(ctx, &rows, check.statement, check.args...); err != nil {
		return AuditCheck{}, err
	}
	outcome := AuditCheck{Name: check.name, What: check.what, Unit: check.unit, Findings: []AuditFinding{}}
	for _, row := range rows {
		outcome.Count, outcome.Wrong = row.Counted, row.Wrong
		if row.Problem != "" {
			outcome.Findings = append(outcome.Findings, row.AuditFinding)
		}
	}
	outcome.OK = outcome.Wrong == 0
	return outcome, nil
}

// LogState is how far the log has got.
type LogState struct {
	// Point is a point of the log to count Moved from later: a snapshot.
	Point string `db:"point"`
	// Moved is how many events have entered the log since the point that was given.
	Moved int64 `db:"moved"`
	// Unpublished is how many events the relay has still to publish.
	Unpublished int64 `db:"unpublished"`
	// DueForecasts are runs of forecasts that have not ended: more will be said.
	DueForecasts int64 `db:"due_forecasts"`

	Fits bool `db:"fits"`
}

// The planner cannot know that almost nothing lies beyond the relay's tick, and
// would rather read the whole log.
var logStateSettings = sqlText(`SELECT set_config('enable_seqscan', 'off', true)`)

// LogState looks how far the log and its relay have got. since is the Point of
// an earlier look, or empty. It costs about a millisecond when they are at rest.
func (db *DB) LogState(ctx context.Context, since string) (state LogState, err error) {
	err = db.InTx(ctx, func(tx *Tx) error {
		if _, err := tx.exec(ctx, logStateSettings); err != nil {
			return err
		}
		state, err = tx.logState(ctx, since)
		return err
	})
	return state, err
}

func (tx *Tx) logState(ctx context.Context, since string) (LogState, error) {
	var state LogState
	point := sql.NullString{String: since, Valid: since != ""}
	if err := tx.get(ctx, &state, logState, auditedRelay, point); err != nil {
		return LogState{}, fmt.Errorf("looking how far the log has got: %w", err)
	}
	if !state.Fits {
		return LogState{}, ErrRestored // ids tell nothing here: neither what is published nor what has moved
	}
	return state, nil
}
