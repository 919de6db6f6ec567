package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/composerp/composerp/store/internal/pg"
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
//     which locks out nobody but whoever would drop a generation of the inbox.
//   - A check never passes because it could not look: what cannot be read is an
//     error, and what there was nothing of has a count of 0.
//   - What is only late is never called wrong. A consumer's inbox, its effect and
//     what it says are committed together, so whatever one snapshot shows adds up,
//     but for what somebody has still to hear. That is open (audit_open.go): it is
//     excused by name, event by event, and nothing else is.
//   - What was proven is not looked at again (audit_checkpoint.go), and nothing
//     is left out: each event, debt and movement is judged once by some audit, or
//     is open in the newest checkpoint.
//
// # What hides from an audit since a checkpoint
//
// It trusts that what was proven stays as it was. It does not see an old row that
// was changed or deleted, unless a position, a read model or a later row no longer
// agrees; nor a row too many that nothing refers to, in a page of admission,
// movement or the inbox that had room; nor a second copy of an old derived event
// other than INVENTORY_UPDATED. Nothing here writes such rows; a hand may.
// AuditScope.Full looks at everything, as the first audit does.
//
// What is in queues or in a worker's hand cannot be seen from here. Whoever calls
// Audit has looked there, and says what it knows (see the package exchange/audit).

// The names under which the relay keeps its cursor, the ledger and stockview their
// inboxes, and intake its queue: whose work the tables are that the audit looks at.
const (
	auditedLedger    = "ledger"
	auditedStockview = "stockview"
	auditedIntake    = "intake"
)

// AuditCheck is the outcome of one check.
type Check struct {
	Name string `json:"name"`
	What string `json:"what"` // what holds when it is OK, as a sentence
	OK   bool   `json:"ok"`
	// Skipped says why nothing could be looked at; then OK means nothing.
	Skipped string `json:"skipped,omitempty"`
	// Mended says what the audit itself has put right.
	Mended string `json:"mended,omitempty"`
	Count  int64  `json:"count"` // how many things were looked at
	Unit   string `json:"unit"`  // what was counted: "events"
	Wrong  int64  `json:"wrong"` // how many of them do not add up
	// Findings are the first of those.
	Findings []Finding `json:"findings"`
}

// AuditFinding names one thing that does not add up. What does not apply is empty.
type Finding struct {
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
func (f Finding) String() string {
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

// AuditScope says what to look at, and what the caller knows of the messages on
// their way. The zero value is a fleet at rest, from the last checkpoint on.
type Scope struct {
	// Full looks at everything, whatever was proven before.
	Full bool
	// Forget leaves no checkpoint.
	Forget bool
	// Settled is a point of the log in an epoch (LogState.Point or Passed). Events that it has seen were published before the caller began
	// to watch; later ones may be on their way. Empty: all of them were.
	Settled      string
	SettledEpoch int
	// Fewest are the fewest messages there were of a consumer at one moment since, wherever they may be. It is in doubt of a consumer
	// that is not named, whose events are then in flight; nil: there were none of anybody's.
	Fewest map[string]int64
}

// Proof is what the checks found, all in one state of the database.
type Proof struct {
	Checks []Check
	Counts Counts
	// Since is what was proven before and not looked at again; nil when everything was looked at.
	Since *Checkpoint
	// Fresh is how many events were new since then.
	Fresh int64
	// Moved is how many events have entered the log since AuditScope.Settled.
	Moved int64
	// Flights are what somebody has still to do. Everything before UpTo, and all that is not among them, is proven if nothing is wrong.
	Flights []Flight
	UpTo    time.Time
	// Made tells that a checkpoint was made of it; Unmade why not, where one was due.
	Made   bool
	Unmade error
}

// Wrong is how many things do not add up.
func (p Proof) Wrong() (n int64) {
	for _, c := range p.Checks {
		n += c.Wrong
	}
	return n
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
type check struct {
	name, what, unit string
	ways             inWays
	// counting goes on from checkpoint to checkpoint: what was looked at is never looked at again.
	counting bool
}

// auditChecks are all checks, in the order in which an event goes through the house.
var auditChecks = []check{
	{"log", "every admitted event is in the log, once, with the body it was admitted with", "events", auditLog, true},
	{"published", "every event to be published is passed by the relay", "events", auditPublished, true},
	{"handled", "every event is handled once, or dead, for each consumer that owes it", "debts", auditHandled, true},
	{"implied", "stock moved as the log's events say, and by nothing else", "events", auditImplied, true},
	{"movements", "each position's movements count 1, 2, 3 and each goes on where the one before ended", "movements", auditMovements, true},
	{"positions", "every position is the sum of its movements", "positions", auditPositions, false},
	{"balance", "each item sums to zero over real and virtual locations", "items", auditBalance, false},
	{"told", "each movement was told by one INVENTORY_UPDATED, with the same figures", "movements", auditTold, true},
	{"stock", "the stock read model is what the positions are", "positions", auditStock, false},
	{"orders", "orders, their lines, what came and what is on order add up; no need has two orders", "orders", auditOrders, false},
	{"planned", "replenishment counts with what the ledger has", "positions", auditPlanned, false},
	{"on order", "planners are shown what replenishment counts with", "positions", auditOnOrder, false},
	{"sent", "each approved order is with its supplier, and no other", "orders", auditSent, false},
	{"lots", "lots, less what was sold beyond them, are what is on hand", "positions", auditLots, false},
}

// auditSettings make the planner and the server treat the audit as what it is:
// few large statements over tables that nobody may have analyzed since they grew.
// No parallel workers: they would take the other core from the fleet, and need
// shared memory that containers are short of.
var auditSettings = pg.SQL(`
SELECT set_config('statement_timeout', '30min', true), set_config('idle_in_transaction_session_timeout', '1min', true),
       set_config('work_mem', '256MB', true), set_config('jit', 'off', true), set_config('enable_seqscan', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('enable_mergejoin', 'off', true)`)
