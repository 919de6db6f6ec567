package planner

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/approval"
)

// closedOrder is the result of closing one order.
type closedOrder struct {
	Name   string            `json:"order"`
	Tenant string            `json:"tenantId,omitempty"`
	ID     string            `json:"purchaseOrderId,omitempty"`
	Number string            `json:"poNumber,omitempty"`
	Rests  []purchasing.Rest `json:"awaited"`
	Error  string            `json:"error,omitempty"`
}

// poClose closes each order named, in a transaction of its own. One that cannot be closed does not stop the others.
func poClose(cctx *cli.Context) error {
	by := settings.By(cctx)
	by.Operator, by.Reason = strings.TrimSpace(by.Operator), strings.TrimSpace(by.Reason)
	switch {
	case cctx.NArg() == 0:
		return exit.Usage("name the orders by their ids or numbers; `composerp po list --status approved` shows those that may await something")
	case by.Reason == "":
		return exit.Usage("--reason is missing: the record of a closing needs one")
	}
	db, _, err := settings.OpenSchema(cctx, "po", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	var failed []error
	results := make([]closedOrder, cctx.NArg())
	for i, name := range cctx.Args().Slice() {
		r := &results[i]
		r.Name, r.Rests = name, []purchasing.Rest{}
		found, err := FindOrder(cctx.Context, db, name, cctx.String("tenant"))
		if err == nil {
			r.Tenant, r.ID, r.Number = found.Tenant, found.ID, found.Number
			var c purchasing.ClosingOrder
			if c, err = approval.Close(cctx.Context, db, purchasing.OrderKey{Tenant: found.Tenant, Order: found.ID}, by, cctx.Bool(settings.FlagDryRun)); err == nil {
				r.Rests = c.Rests
			}
		}
		if err != nil {
			r.Error = exit.OneLine(err)
			failed = append(failed, err)
		}
	}
	if len(results) == 1 && len(failed) == 1 {
		return failed[0]
	}
	err = terminal.Show(cctx, results, func(w io.Writer) { closedTable(cctx, w, results) })
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("%d of %d orders were not closed: %w", len(failed), len(results), failed[0])
	}
	return err
}

func closedTable(cctx *cli.Context, w io.Writer, results []closedOrder) {
	terminal.Row(w, "ORDER", "ITEM", "LOCATION", "ORDERED", "RECEIVED", "NOT AWAITED ANY MORE")
	for i := range results {
		r := &results[i]
		if r.Error != "" {
			terminal.Say(cctx, "%s: %s", r.Name, r.Error)
		}
		for _, l := range r.Rests {
			terminal.Row(w, r.Number, l.Item, l.Location, l.Quantity, l.Received, l.Rest)
		}
	}
}
