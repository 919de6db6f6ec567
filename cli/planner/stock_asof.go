package planner

import (
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockhistory"
	"github.com/composerp/composerp/store/stockview"
)

const flagAsOf = "as-of"

// asOfAsked reads --as-of, and refuses what is known of now alone.
func asOfAsked(cctx *cli.Context) (at time.Time, err error) {
	for _, name := range []string{"supplier", "low", "cover-below", "sort", "desc", flagLots} {
		if cctx.IsSet(name) {
			return at, exit.Usage("--%s does not go with --%s", name, flagAsOf)
		}
	}
	return terminal.ReadMoment(flagAsOf, cctx.String(flagAsOf))
}

// showAsOf is `stock --as-of`.
func showAsOf(cctx *cli.Context, db *store.DB, q stockview.StockQuery) error {
	at, err := asOfAsked(cctx)
	if err != nil {
		return err
	}
	rows, err := stockhistory.AsOf(cctx.Context, db, masterdata.PositionKey{Tenant: q.Tenant, Item: q.Item, Location: q.Location}, at)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(s stockhistory.Stock) bool {
		return q.Negative && !s.OnHand.IsNegative() || q.OnOrder && s.OnOrder.IsZero()
	})
	if q.Limit > 0 && len(rows) > q.Limit {
		rows = rows[:q.Limit]
	}
	return terminal.Show(cctx, rows, func(w io.Writer) { asOfTable(w, rows) })
}

func asOfTable(w io.Writer, rows []stockhistory.Stock) {
	several := slices.ContainsFunc(rows, func(s stockhistory.Stock) bool { return s.Tenant != rows[0].Tenant })
	line := func(tenant string, cells ...any) {
		if several {
			cells = append([]any{tenant}, cells...)
		}
		terminal.Row(w, cells...)
	}
	line("TENANT", "ITEM", "LOCATION", "ON HAND", "ON ORDER", "LAST MOVEMENT", "NAME")
	if len(rows) == 0 {
		terminal.Row(w, terminal.None)
	}
	for _, s := range rows {
		last := terminal.Or(s.LastMovement, "", func(at time.Time) string { return at.UTC().Format(time.DateOnly) })
		line(s.Tenant, s.Item, s.Location, s.OnHand, unlessZero(s.OnOrder), last, wording.Shortened(s.ItemName, 24))
	}
}
