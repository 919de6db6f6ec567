// Package findings lists what was reported from outside and does not fit together, and keeps what a person has said
// about it.
//
// A finding's id follows from all that it says: the check, the place, the event and the problem. So an acknowledgement
// holds for the finding as the person has seen it; one that changes is another and is open. Acknowledgements are kept
// when their finding is gone.
package findings

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/purchasing"
)

// The checks that have findings.
const (
	Transfers = "transfers" // planning.TransferProblemsSQL
	Receipts  = "receipts"  // purchasing.ReceiptProblemsSQL
)

// SQL has a row for each finding that there is now: id, check_name, tenant_id, item_id, location_id, kind, problem, and
// whether it is recent.
var SQL = `
SELECT left(encode(sha256(convert_to(concat_ws(chr(31), f.check_name, f.tenant_id, f.item_id, f.location_id, f.event_id, f.problem), 'UTF8')), 'hex'), 12) AS id,
       f.check_name, f.tenant_id, f.item_id, f.location_id, f.kind, f.problem, f.recent
FROM (SELECT '` + Transfers + `' AS check_name, tenant_id, item_id, location_id, kind, '' AS event_id, problem, recent
      FROM (` + planning.TransferProblemsSQL + `) t
      UNION ALL
      SELECT '` + Receipts + `', tenant_id, item_id, location_id, '', event_id::text, problem, recent
      FROM (` + purchasing.ReceiptProblemsSQL + `) r) f`

// Finding is something that was reported from outside and does not fit together.
type Finding struct {
	ID       string `db:"id" json:"id"`
	Check    string `db:"check_name" json:"check"` // Transfers or Receipts
	Tenant   string `db:"tenant_id" json:"tenantId"`
	Item     string `db:"item_id" json:"itemId"`
	Location string `db:"location_id" json:"locationId"`
	Kind     string `db:"kind" json:"kind,omitempty"` // of a transfer's: planning.TransferLate, ...
	Problem  string `db:"problem" json:"problem"`
	State    State  `db:"state" json:"state"`
	// Recent: of the last 30 days of business time, or goods that are still missing.
	Recent bool `db:"recent" json:"recent"`

	// By whom and why it was acknowledged; empty while it is open.
	Reason string     `db:"reason" json:"reason,omitempty"`
	By     string     `db:"acknowledged_by" json:"acknowledgedBy,omitempty"`
	At     *time.Time `db:"acknowledged_at" json:"acknowledgedAt,omitempty"`
}

// State is what became of a finding.
type State string

// The states.
const (
	Open         State = "open"
	Acknowledged State = "acknowledged"
	Past         State = "past" // acknowledged, and there no more
)

var list = pg.SQL(`
SELECT coalesce(f.id, a.id) AS id, coalesce(f.check_name, a.check_name) AS check_name, coalesce(f.tenant_id, a.tenant_id) AS tenant_id,
       coalesce(f.item_id, a.item_id) AS item_id, coalesce(f.location_id, a.location_id) AS location_id, coalesce(f.kind, '') AS kind,
       coalesce(f.problem, a.problem) AS problem, coalesce(f.recent, false) AS recent,
       CASE WHEN a.id IS NULL THEN 'open' WHEN f.id IS NULL THEN 'past' ELSE 'acknowledged' END AS state,
       coalesce(a.reason, '') AS reason, coalesce(a.acknowledged_by, '') AS acknowledged_by, a.acknowledged_at
FROM (` + SQL + `) f FULL JOIN acknowledged_finding a ON a.id = f.id
ORDER BY check_name DESC, tenant_id, kind, item_id, location_id, problem, id`)

// List returns all findings there are, and those past that were acknowledged.
func List(ctx context.Context, db *store.DB) ([]Finding, error) {
	return pg.List[Finding](ctx, db, "reading the findings", list)
}

var acknowledge = pg.SQL(`
INSERT INTO acknowledged_finding (id, check_name, tenant_id, item_id, location_id, problem, reason, acknowledged_by)
SELECT f.id, f.check_name, f.tenant_id, f.item_id, f.location_id, f.problem, $2, $3 FROM (` + SQL + `) f WHERE f.id = ANY ($1::text[])
ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, acknowledged_by = excluded.acknowledged_by, acknowledged_at = now()
RETURNING id`)

// Acknowledge records why findings need nothing more, and by whom, also in the operator log; said again, the last word
// stands. When one of the ids is of no finding that there is now, none is acknowledged: ErrNotFound names it.
func Acknowledge(ctx context.Context, db *store.DB, by operatorlog.By, ids []string) error {
	return db.InTx(ctx, func(tx store.Tx) error {
		done, err := pg.List[string](ctx, tx, "acknowledging findings", acknowledge, pq.StringArray(ids), by.Reason, by.Operator)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if !slices.Contains(done, id) {
				return fmt.Errorf("finding %s: %w", id, store.ErrNotFound)
			}
			if err := operatorlog.Note(ctx, tx, by, "finding acknowledge", id, nil, nil); err != nil {
				return err
			}
		}
		return nil
	})
}
