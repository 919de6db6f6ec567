package planner

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockview"
)

// showLots is `stock --lots`.
func showLots(cctx *cli.Context, db *store.DB, q stockview.StockQuery) error {
	shelves, err := lots.OnHand(cctx.Context, db, masterdata.PositionKey{Tenant: q.Tenant, Item: q.Item, Location: q.Location})
	if err != nil {
		return err
	}
	return terminal.Show(cctx, shelves, func(w io.Writer) { lotsTable(w, shelves) })
}

// lotsTable has a line for each lot, in the order in which they go out, and one for what went out beyond them.
func lotsTable(w io.Writer, shelves []lots.OnHandLots) {
	several := slices.ContainsFunc(shelves, func(s lots.OnHandLots) bool { return s.Tenant != shelves[0].Tenant })
	line := func(tenant string, cells ...any) {
		if several {
			cells = append([]any{tenant}, cells...)
		}
		terminal.Row(w, cells...)
	}
	line("TENANT", "ITEM", "LOCATION", "LOT", "EXPIRY", "DAYS LEFT", "QUANTITY", "RECEIVED", "", "NAME")
	for _, s := range shelves {
		name := terminal.Shortened(s.ItemName, 24)
		for _, l := range s.Lots {
			expiry, left, mark := "unknown", "", ""
			if l.Expiry != nil {
				expiry = string(*l.Expiry)
			}
			if l.DaysLeft != nil {
				left = fmt.Sprint(*l.DaysLeft)
			}
			switch {
			case l.DaysLeft != nil && *l.DaysLeft < 0:
				mark = "expired"
			case l.Expiring:
				mark = "expiring"
			}
			line(s.Tenant, s.Item, s.Location, cmp.Or(l.Number, "unnamed"), expiry, left, l.Quantity, l.ReceivedAt.UTC().Format("2006-01-02"), mark, name)
		}
		if s.Shortfall.IsPositive() {
			line(s.Tenant, s.Item, s.Location, "", "", "", s.Shortfall.Neg(), "", "shortfall", name)
		}
	}
}
