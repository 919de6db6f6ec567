// Package planner has the commands of planners: stock, po, forecast and notification.
package planner

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockview"
)

// StockCommand is the command `stock`.
func StockCommand() *cli.Command {
	return &cli.Command{
		Name:  "stock",
		Usage: "list stock, orders and days of cover of items and locations",
		Description: "Days of cover are the available stock divided by the daily demand of the forecast; empty without a forecast. Next\n" +
			"order is the oldest open order or, without one, the day on which stock is expected to reach its reorder point.",
		Flags: settings.DatabaseFlags(
			&cli.StringFlag{Name: "tenant", Usage: "this tenant only"},
			&cli.StringFlag{Name: "item", Usage: "this item only"},
			&cli.StringFlag{Name: "location", Usage: "this location only"},
			&cli.StringFlag{Name: "supplier", Usage: "only items ordered from this supplier"},
			&cli.BoolFlag{Name: "low", Usage: "only stock below its low-stock threshold"},
			&cli.BoolFlag{Name: "on-order", Usage: "only items on order"},
			&cli.BoolFlag{Name: "negative", Usage: "only negative stock: sold before it was received"},
			&cli.StringFlag{Name: "cover-below", Usage: "only stock with fewer than `DAYS` days of cover"},
			&cli.StringFlag{Name: "sort", Usage: "by " + strings.Join(stockview.StockSorts, ", ") + "; empty values last"},
			&cli.BoolFlag{Name: "desc", Usage: "largest first, latest first"},
			&cli.IntFlag{Name: "limit", Usage: "at most `N` lines"},
			&cli.StringFlag{Name: flagAsOf, Usage: "what stood there at `TIME` of business time, by all that is known now: 2026-02-09T12:00:00Z, or 2h ago"},
			&cli.BoolFlag{Name: flagLots, Usage: "list lots instead, the first to expire first"},
		),
		Action:      settings.OnSchema("stock", 1, stockQuery, stock),
		Subcommands: []*cli.Command{stockImportCommand()},
	}
}

const flagLots = "lots"

func stock(cctx *cli.Context, db *store.DB, query stockview.StockQuery) error {
	if cctx.IsSet(flagAsOf) {
		return showAsOf(cctx, db, query)
	}
	if cctx.Bool(flagLots) {
		return showLots(cctx, db, query)
	}
	rows, err := stockview.ListPlannedStock(cctx.Context, db, query)
	if err != nil {
		return err
	}
	return terminal.Show(cctx, rows, func(w io.Writer) { stockTable(w, rows) })
}

func stockQuery(cctx *cli.Context) (stockview.StockQuery, error) {
	q := stockview.StockQuery{
		Tenant: cctx.String("tenant"), Item: cctx.String("item"), Location: cctx.String("location"), Supplier: cctx.String("supplier"),
		Low: cctx.Bool("low"), OnOrder: cctx.Bool("on-order"), Negative: cctx.Bool("negative"),
		Sort: cctx.String("sort"), Descending: cctx.Bool("desc"), Limit: cctx.Int("limit"),
	}
	if days := cctx.String("cover-below"); days != "" {
		limit, err := event.ParseDecimal(days)
		if err != nil {
			return q, exit.Usage("--cover-below %q: want a number of days", days)
		}
		q.CoverBelow = &limit
	}
	if q.Sort != "" && !slices.Contains(stockview.StockSorts, q.Sort) {
		return q, exit.Usage("--sort %q: want one of %s", q.Sort, strings.Join(stockview.StockSorts, ", "))
	}
	if q.Limit < 0 {
		return q, exit.Usage("--limit %d: want 1 or more, or 0 for all", q.Limit)
	}
	if cctx.IsSet(flagAsOf) {
		_, err := asOfAsked(cctx)
		return q, err
	}
	if cctx.Bool(flagLots) {
		for _, name := range []string{"supplier", "low", "on-order", "negative", "cover-below", "sort", "desc", "limit"} {
			if cctx.IsSet(name) {
				return q, exit.Usage("--%s does not go with --%s", name, flagLots)
			}
		}
	}
	return q, nil
}

// column is one of a table, and whether it tells anything: one that does not is left out, so that the others fit.
type column struct {
	title string
	tells bool
	cell  func(s *stockview.PlannedStock) any
}

// stockTable leaves out what is the same in every line: the tenant, where there
// is one, and what is reserved, where nothing is.
func stockTable(w io.Writer, rows []stockview.PlannedStock) {
	some := func(has func(s *stockview.PlannedStock) bool) bool {
		return slices.ContainsFunc(rows, func(s stockview.PlannedStock) bool { return has(&s) })
	}
	reserved := some(func(s *stockview.PlannedStock) bool { return !s.Reserved.IsZero() })
	always := true
	columns := []column{
		{"TENANT", some(func(s *stockview.PlannedStock) bool { return s.Tenant != rows[0].Tenant }), func(s *stockview.PlannedStock) any { return s.Tenant }},
		{"ITEM", always, func(s *stockview.PlannedStock) any { return s.Item }},
		{"LOCATION", always, func(s *stockview.PlannedStock) any { return s.Location }},
		{"ON HAND", always, func(s *stockview.PlannedStock) any { return s.OnHand }},
		{"RESERVED", reserved, func(s *stockview.PlannedStock) any { return s.Reserved }},
		{"AVAILABLE", reserved, func(s *stockview.PlannedStock) any { return s.Available }},
		{"ON ORDER", always, func(s *stockview.PlannedStock) any { return unlessZero(s.OnOrder) }},
		{"IN TRANSIT", some(func(s *stockview.PlannedStock) bool { return !s.InTransit.IsZero() }), func(s *stockview.PlannedStock) any { return unlessZero(s.InTransit) }},
		{"COVER", always, func(s *stockview.PlannedStock) any { return terminal.Or(s.DaysOfCover, "", daysOfCover) }},
		{"LAST MOVEMENT", always, func(s *stockview.PlannedStock) any { return lastMovement(s) }},
		{"NEXT ORDER", always, func(s *stockview.PlannedStock) any { return nextOrder(s.Next) }},
		{"LOW", some(func(s *stockview.PlannedStock) bool { return s.Low }), func(s *stockview.PlannedStock) any { return map[bool]string{true: "low"}[s.Low] }},
		{"NAME", some(func(s *stockview.PlannedStock) bool { return s.ItemName != "" }), func(s *stockview.PlannedStock) any { return wording.Shortened(s.ItemName, 18) }},
	}
	columns = slices.DeleteFunc(columns, func(c column) bool { return !c.tells })
	cells := make([]any, len(columns))
	for i, c := range columns {
		cells[i] = c.title
	}
	terminal.Row(w, cells...)
	if len(rows) == 0 {
		terminal.Row(w, terminal.None)
	}
	for n := range rows {
		for i, c := range columns {
			cells[i] = c.cell(&rows[n])
		}
		terminal.Row(w, cells...)
	}
}

func unlessZero(d event.Decimal) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

func daysOfCover(days event.Decimal) string { return wording.Grouped(days.StringFixed(1)) + " d" }

func lastMovement(s *stockview.PlannedStock) string {
	return terminal.Or(s.LastMovement, "", func(at time.Time) string { return at.UTC().Format("2006-01-02 ") + s.LastType })
}

// nextOrder says when goods are due, once the order is approved.
func nextOrder(n *stockview.NextOrder) string {
	switch {
	case n == nil:
		return ""
	case n.ReorderOn != "":
		return "order on " + string(n.ReorderOn)
	case n.Status == "PENDING" || n.ExpectedOn == "":
		return n.Number + " " + strings.ToLower(n.Status)
	}
	return n.Number + " due " + string(n.ExpectedOn)
}

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
	if len(shelves) == 0 {
		terminal.Row(w, terminal.None)
	}
	for _, s := range shelves {
		name := wording.Shortened(s.ItemName, 24)
		for _, l := range s.Lots {
			expiry := terminal.Or(l.Expiry, "unknown", func(d event.Date) string { return string(d) })
			left, mark := terminal.Or(l.DaysLeft, "", strconv.Itoa), ""
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
