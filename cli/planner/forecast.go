package planner

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/workers/analytics"
)

// ForecastCommand is the command `forecast`.
func ForecastCommand() *cli.Command {
	common := func(more ...cli.Flag) []cli.Flag {
		return settings.DatabaseFlags(append([]cli.Flag{
			&cli.StringFlag{Name: "tenant", Usage: "this tenant only"},
			&cli.StringFlag{Name: "location", Usage: "this location only"},
		}, more...)...)
	}
	item := &cli.StringFlag{Name: "item", Usage: "this item only"}
	return &cli.Command{
		Name:  "forecast",
		Usage: "show demand forecasts and their accuracy",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the latest forecast of each item",
				Flags:  common(item, &cli.IntFlag{Name: "limit", Value: 50, Usage: "at most this many; 0: all"}),
				Action: settings.OnSchema("forecast", 1, terminal.Limit, forecastList),
			},
			{
				Name: "show", Usage: "show an item's latest forecast, day by day", ArgsUsage: "ITEM", Flags: common(),
				Action: settings.OnSchema("forecast", 1, oneItem, forecastShow),
			},
			{
				Name: "accuracy", Usage: "compare forecasts with actual demand",
				Description: "Bias is forecast minus demand, in units a day and in percent of the demand. MASE and RMSSE are errors relative to\n" +
					"the change of demand from day to day; lower is better. The naive forecast repeats the last day before the forecast,\n" +
					"the seasonal naive one the same weekday of the week before. Only closed days count: a day of a location closes\n" +
					"with the first event of a later day there.",
				Flags: common(item,
					&cli.StringFlag{Name: "from", Usage: "days from `DATE` on"},
					&cli.StringFlag{Name: "to", Usage: "days up to `DATE`"},
					&cli.IntFlag{Name: "horizon", Value: analytics.DefaultHorizon, Usage: "the first `DAYS` of each forecast"},
					&cli.StringFlag{Name: "sort", Value: "units", Usage: "sort items by " + strings.Join(AccuracySorts, ", ") + "; largest first, but for item"},
					&cli.IntFlag{Name: "limit", Value: 20, Usage: "at most this many items; 0: all"},
				),
				Action: settings.OnSchema("forecast", 1, accuracyQuestion, forecastAccuracy),
			},
			benchmarkCommand(),
			calibrationCommand(common(item)),
		},
	}
}

// positionFlags are the flags that say of what.
func positionFlags(cctx *cli.Context) masterdata.PositionKey {
	return masterdata.PositionKey{Tenant: cctx.String("tenant"), Item: cctx.String("item"), Location: cctx.String("location")}
}

func forecastList(cctx *cli.Context, db *store.DB, limit int) error {
	forecasts, err := planning.LatestForecasts(cctx.Context, db, positionFlags(cctx))
	if err != nil {
		return err
	}
	if limit > 0 && len(forecasts) > limit {
		terminal.Say(cctx, "these are the first %d of %d; --limit 0 shows all", limit, len(forecasts))
		forecasts = forecasts[:limit]
	}
	header := []any{"TENANT", "ITEM", "LOCATION", "FROM", "DAYS", "FIRST WEEK", "A DAY", "ERROR A DAY", "METHOD", "NAME"}
	return terminal.ShowRows(cctx, forecasts, header, func(f *planning.Forecast) []any {
		first, week := f.Daily[:min(7, len(f.Daily))], 0.0
		for _, units := range first {
			week += units
		}
		return []any{f.Tenant, f.Item, f.Location, f.Start, len(f.Daily), Digits(week, 1), Digits(week/float64(max(1, len(first))), 2), f.ErrorStdDev, f.Method, f.ItemName}
	})
}

// oneItem is where the item of the command line is forecast.
func oneItem(cctx *cli.Context) (masterdata.PositionKey, error) {
	of := positionFlags(cctx)
	of.Item = cctx.Args().First()
	if cctx.NArg() != 1 {
		return of, exit.Usage("name one item: composerp forecast show ITEM")
	}
	return of, nil
}

func forecastShow(cctx *cli.Context, db *store.DB, of masterdata.PositionKey) error {
	forecasts, err := planning.LatestForecasts(cctx.Context, db, of)
	if err != nil {
		return err
	}
	if len(forecasts) == 0 {
		return exit.Usage("there is no forecast of item %s; `composerp forecast list` shows the items that have one", of.Item)
	}
	return terminal.Show(cctx, forecasts, func(w io.Writer) {
		for i, f := range forecasts {
			if i > 0 {
				fmt.Fprintln(w)
			}
			terminal.Row(w, "Item", strings.TrimSpace(f.Item+" "+f.ItemName))
			terminal.Row(w, "Location", f.Location+", tenant "+f.Tenant)
			terminal.Row(w, "Method", f.Method)
			terminal.Row(w, "Error a day", f.ErrorStdDev)
			fmt.Fprintln(w)
			terminal.Row(w, "DAY", "UNITS")
			for ahead, units := range f.Daily {
				day := f.Start.AddDays(ahead)
				terminal.Row(w, string(day)+" "+day.Time().Format("Mon"), Digits(units, 3))
			}
		}
	})
}

// Digits formats a number with n digits after the point, and NaN as a dash.
func Digits(x float64, n int) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "-"
	}
	return fmt.Sprintf("%.*f", n, x)
}

// dateFlag reads a flag that is a day; empty, where it is not given.
func dateFlag(cctx *cli.Context, name string) (event.Date, error) {
	text := cctx.String(name)
	if text == "" {
		return "", nil
	}
	day, err := event.ParseDate(text)
	if err != nil {
		return "", exit.Usage("--%s %q: want a day, such as 2026-03-09", name, text)
	}
	return day, nil
}
