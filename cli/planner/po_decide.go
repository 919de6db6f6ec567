package planner

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/approval"
)

// decidedOrder is the result of one decision.
type decidedOrder struct {
	Name      string     `json:"order"`
	Tenant    string     `json:"tenantId,omitempty"`
	ID        string     `json:"purchaseOrderId,omitempty"`
	Number    string     `json:"poNumber,omitempty"`
	Status    string     `json:"status,omitempty"`
	DecidedBy string     `json:"decidedBy,omitempty"`
	DecidedAt *time.Time `json:"decidedAt,omitempty"`
	Error     string     `json:"error,omitempty"`
	err       error
}

func poApprove(cctx *cli.Context) error {
	return poDecide(cctx, "approved", approval.Approve)
}

func poReject(cctx *cli.Context) error {
	if strings.TrimSpace(cctx.String("reason")) == "" {
		return exit.Usage("--reason is missing: the record of a rejection needs one")
	}
	return poDecide(cctx, "rejected", approval.Reject)
}

// decision is what is done about one order.
type decision func(ctx context.Context, db *store.DB, order purchasing.OrderKey, by operatorlog.By) (purchasing.OrderDecision, error)

// poDecide decides about each order named, in a transaction of its own, and reports
// each result. One that cannot be decided does not stop the others.
func poDecide(cctx *cli.Context, done string, decide decision) error {
	if cctx.NArg() == 0 {
		return exit.Usage("name the orders by their ids or numbers; composerp po list --status pending shows those that wait")
	}
	by := settings.By(cctx)
	by.Operator, by.Reason = strings.TrimSpace(by.Operator), strings.TrimSpace(by.Reason)
	db, _, err := settings.OpenSchema(cctx, "po", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	results := make([]decidedOrder, cctx.NArg())
	var failed []error
	for i, name := range cctx.Args().Slice() {
		r := &results[i]
		*r = decideOne(cctx, db, name, by, decide)
		if r.err != nil {
			r.Error = exit.OneLine(r.err)
			failed = append(failed, r.err)
		}
	}
	if len(results) == 1 && len(failed) == 1 {
		return failed[0]
	}
	if err := terminal.Show(cctx, results, func(w io.Writer) {
		for _, r := range results {
			if r.err != nil {
				terminal.Say(cctx, "%s: %s", r.Name, r.Error)
				continue
			}
			terminal.Row(w, r.Number, done, "by "+r.DecidedBy)
		}
	}); err != nil || len(failed) == 0 {
		return err
	}
	return fmt.Errorf("%d of %d orders were not %s: %w", len(failed), len(results), done, failed[0])
}

func decideOne(cctx *cli.Context, db *store.DB, name string, by operatorlog.By, decide decision) decidedOrder {
	r := decidedOrder{Name: name}
	found, err := FindOrder(cctx.Context, db, name, cctx.String("tenant"))
	if err != nil {
		r.err = err
		return r
	}
	r.Tenant, r.ID, r.Number = found.Tenant, found.ID, found.Number
	d, err := decide(cctx.Context, db, purchasing.OrderKey{Tenant: found.Tenant, Order: found.ID}, by)
	r.Status, r.DecidedBy, r.DecidedAt, r.err = d.Status, d.DecidedBy, d.DecidedAt, err
	return r
}
