package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/composerp/composerp/store/internal/pg"
)

// The names under which the relay keeps its cursor, ledger and stockview their inboxes, and intake its queue.
const (
	auditedLedger    = "ledger"
	auditedStockview = "stockview"
	auditedIntake    = "intake"
)

// Check is the outcome of one check.
type Check struct {
	Name string `json:"name"`
	What string `json:"what"` // the statement that holds when it is OK
	OK   bool   `json:"ok"`
	// Skipped says why there was nothing to check; OK means nothing then.
	Skipped string `json:"skipped,omitempty"`
	// Repaired says what the audit itself has repaired.
	Repaired string `json:"repaired,omitempty"`
	Count    int64  `json:"count"` // how many things were checked
	Unit     string `json:"unit"`  // what was counted: "events"
	Wrong    int64  `json:"wrong"` // how many of them are inconsistent
	// Reported is how many of them do not fit together as they were reported from outside. The fleet has handled them
	// rightly, so OK and the verdict are not about them.
	Reported int64 `json:"reported,omitempty"`
	// Acknowledged is how many of those a person has looked at: composerp finding acknowledge.
	Acknowledged int64 `json:"acknowledged,omitempty"`
	// Findings are the first of those, Do what to do about them.
	Findings []Finding `json:"findings"`
	Do       string    `json:"do,omitempty"`
}

// Finding names one inconsistency. Fields that do not apply are empty.
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

// Scope says what to check, and what the caller knows of messages in flight. The zero value is a fleet at rest, from
// the last checkpoint on.
type Scope struct {
	// Full checks everything, whatever was proven before.
	Full bool
	// Forget leaves no checkpoint.
	Forget bool
	// Settled is a snapshot of the log (eventlog.State) and its epoch. Events that it has seen were published before
	// the caller began to observe; later ones may be in flight. Empty: all were published.
	Settled      string
	SettledEpoch int
	// Fewest is, by consumer, the fewest messages observed at one moment, wherever they were. Deliveries of a consumer
	// without an entry count as in flight; nil: there were no messages at all.
	Fewest map[string]int64
}

// Proof is the result of all checks, in one state of the database.
type Proof struct {
	Checks []Check
	Counts Counts
	// Since is the checkpoint up to which nothing was checked again; nil when everything was checked.
	Since *Checkpoint
	// Fresh is how many events were new since then.
	Fresh int64
	// Moved is how many events have entered the log since Scope.Settled.
	Moved int64
	// Flights are deliveries that may still happen. If nothing is wrong, everything before UpTo and everything not
	// among them is proven.
	Flights []Flight
	UpTo    time.Time
	// Made means that a checkpoint was made; Unmade says why not, when one was due.
	Made   bool
	Unmade error
}

// Wrong is the number of inconsistencies.
func (p Proof) Wrong() (n int64) {
	for _, c := range p.Checks {
		n += c.Wrong
	}
	return n
}

// result ends each check's statement. The text before it defines judged: a row for everything checked, whose problem
// is null when all is well.
const result = `
SELECT t.counted, t.wrong, coalesce(f.event_id::text, '') AS event_id, coalesce(f.type, '') AS type, coalesce(f.consumer, '') AS consumer,
       coalesce(f.tenant_id, '') AS tenant_id, coalesce(f.item_id, '') AS item_id, coalesce(f.location_id, '') AS location_id,
       coalesce(f.problem, '') AS problem
FROM (SELECT count(*) AS counted, count(problem) AS wrong FROM judged) t
LEFT JOIN (SELECT * FROM judged WHERE problem IS NOT NULL ORDER BY sort_key LIMIT 10) f ON true
ORDER BY f.sort_key`

// check is a check as declared below.
type check struct {
	name, what, unit string
	ways             variants
	// counting continues from checkpoint to checkpoint: proven rows are never checked again.
	counting bool
	// reported: its findings are about what was reported from outside (Check.Reported).
	reported bool
}

// auditChecks are all checks, in the order in which an event passes through the fleet.
var auditChecks = []check{
	{"log", "every admitted event is in the log, once, with the body it was admitted with", "events", auditLog, true, false},
	{"published", "every event to be published is passed by the relay", "events", auditPublished, true, false},
	{"handled", "every event is handled once, or dead, for each subscribed consumer", "deliveries", auditHandled, true, false},
	{"implied", "stock moved as the log's events say, and by nothing else", "events", auditImplied, true, false},
	{"movements", "each position's movements count 1, 2, 3 and each goes on where the one before ended", "movements", auditMovements, true, false},
	{"positions", "every position is the sum of its movements", "positions", auditPositions, false, false},
	{"balance", "each item sums to zero over real and virtual locations", "items", auditBalance, false, false},
	{"told", "each movement was published in one INVENTORY_UPDATED, with the same figures", "movements", auditUpdates, true, false},
	{"stock", "the stock read model is what the positions are", "positions", auditStock, false, false},
	{"orders", "orders, their lines, what came and what is on order add up; no need has two orders", "orders", auditOrders, false, false},
	{"planned", "replenishment counts with what the ledger has", "positions", auditPlanned, false, false},
	{"on order", "planners are shown what replenishment counts with", "positions", auditOnOrder, false, false},
	{"sent", "each approved order is with its supplier, and no other", "orders", auditSent, false, false},
	{"in transit", "an item's transfers sum to what is in transit", "items", auditInTransit, false, false},
	{"transfers", "what was received by a transfer was sent there, and has not been on its way for too long", "transfer legs", auditTransfers, false, true},
	{"receipts", "a receipt that names an order counts against it", "receipts", auditReceipts, false, true},
	{"lots", "lots, less what was sold beyond them, are what is on hand", "positions", auditLots, false, false},
}

// auditSettings tune the planner for a few large statements over tables that may not have been analyzed since they
// grew. No parallel workers: they would take cores from the fleet, and need shared memory that containers lack.
var auditSettings = pg.SQL(`
SELECT set_config('statement_timeout', '30min', true), set_config('idle_in_transaction_session_timeout', '1min', true),
       set_config('work_mem', '256MB', true), set_config('jit', 'off', true), set_config('enable_seqscan', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('enable_mergejoin', 'off', true)`)
