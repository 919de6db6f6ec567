package events

import (
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/misdated"
	"github.com/composerp/composerp/store/operatorlog"
)

// MisdatedCommand is the command `misdated`.
func MisdatedCommand() *cli.Command {
	return &cli.Command{
		Name:  "misdated",
		Usage: "movements dated far ahead of the clock, from before business time had bounds",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list them, those to be corrected first",
				Flags: settings.DatabaseFlags(), Action: settings.OnSchema("misdated", 1, settings.Nothing, misdatedList),
			},
			{
				Name: "correct", Usage: "correct their time, and the days, forecasts and demand that it moved",
				Description: "Everything that is dated further ahead than its tenant's bounds counts as of --timestamp from then on. The log and the\n" +
					"movements stay as they are, and so do orders: those dated ahead are named. Positions where a count was booked\n" +
					"beside such a movement are named too: count them anew. Begin with --dry-run, which does the same and takes it back.",
				Flags: settings.DatabaseFlags(
					&cli.StringFlag{Name: "timestamp", Usage: "the time that counts instead, RFC 3339, not after now; default now"},
					&cli.BoolFlag{Name: "dry-run", Usage: "change nothing; report what would be corrected"},
					settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator),
				),
				Action: settings.OnSchema("misdated", 1, correctedTo, misdatedCorrect),
			},
		},
	}
}

func misdatedList(cctx *cli.Context, db *store.DB, _ struct{}) error {
	list, err := misdated.List(cctx.Context, db)
	if err != nil {
		return err
	}
	header := []any{"EVENT", "TENANT", "ITEM", "LOCATION", "TYPE", "QUANTITY", "DATED", "CORRECTED TO"}
	return terminal.Show(cctx, list, func(w io.Writer) {
		terminal.Table(w, list, header, func(m *misdated.Movement) []any {
			to := "-"
			if m.CorrectedTo != nil {
				to = terminal.Moment(*m.CorrectedTo)
			}
			return []any{m.EventID, m.Tenant, m.Item, m.Location, m.Type, m.Quantity, terminal.Moment(m.OccurredAt), to}
		})
	})
}

func correctedTo(cctx *cli.Context) (to time.Time, err error) {
	text := cctx.String("timestamp")
	if to, err = terminal.ReadTime("timestamp", text, time.Now().UTC().Truncate(time.Second)); err == nil && to.After(time.Now()) {
		err = exit.Usage("--timestamp %q is after now", text)
	}
	return to, err
}

func misdatedCorrect(cctx *cli.Context, db *store.DB, to time.Time) error {
	if !cctx.Bool("dry-run") {
		if err := operatorlog.NoteAlone(cctx.Context, db, settings.By(cctx), "misdated correct", "", nil, map[string]time.Time{"timestamp": to}); err != nil {
			return err
		}
	}
	c, err := misdated.Correct(cctx.Context, db, to, cctx.Bool("dry-run"))
	if err != nil {
		return err
	}
	return terminal.Show(cctx, c, func(w io.Writer) {
		done := "corrected"
		if cctx.Bool("dry-run") {
			done = "would be corrected"
		}
		terminal.Row(w, "rows "+done, "to "+terminal.Moment(c.To))
		terminal.Row(w, "  movements", c.Movements)
		terminal.Row(w, "  demand, moved to that day", c.Demand)
		terminal.Row(w, "  calendars of forecasting and lots", c.Calendars)
		terminal.Row(w, "  forecasts and their runs, deleted", c.Forecasts)
		terminal.Row(w, "  lots", c.Lots)
		terminal.Row(w, "  positions of replenishment", c.Positions)
		if len(c.Orders) > 0 {
			terminal.Row(w, "orders dated ahead, unchanged", strings.Join(c.Orders, ", "))
		}
		for _, p := range c.Recount {
			terminal.Row(w, "count anew", p.Tenant+"/"+p.Item+"/"+p.Location)
		}
	})
}
