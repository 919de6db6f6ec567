// Package whatif has the command that runs planning over the log with other rules or another forecast.
package whatif

import (
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/archive"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/masterdata"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/grants"
	span "github.com/composerp/composerp/store/whatif"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/forecasting/method"
	"github.com/composerp/composerp/workers/runtime/whatif"
)

const (
	flagRule     = "rule"
	flagForecast = "forecast"
	flagFrom     = "from"
	flagTo       = "to"
	flagItems    = "items"
	flagHistory  = "order-for-history"
)

// Command is the command `whatif`.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "whatif",
		Usage: "run planning over the log with other rules or another forecast, and compare with what happened",
		Description: "The planning workers handle the events of the log once more, on tables of their own that are dropped at the end: the\n" +
			"live tables are only read, nothing is published, no supplier or webhook is called. Three columns are compared: what\n" +
			"happened, the same span with today's rules, and with the change. Goods of the orders that a run makes arrive after\n" +
			"the supplier's lead time; docs/howto/what-if.md says what else a run assumes.\n" +
			"It works as the owner of the database's tables, who may make schemas.\n\n" +
			"The --" + flagRule + " FILE is one of `composerp rule import`: " + masterdata.FileForms + " Its columns:\n\n" + masterdata.DescribeRules() + "\n" +
			"The methods of --" + flagForecast + ": " + strings.Join(method.Names(), ", ") + ".",
		Flags: settings.DatabaseFlags(slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: flagRule, Usage: "with the rules of this `FILE` in place of those of its positions"},
			&cli.StringFlag{Name: flagForecast, Usage: "with all forecasts made by this `METHOD`"},
			&cli.StringFlag{Name: flagFrom, Usage: "from this business time on: 2026-02-01 (0:00 UTC) or 2026-02-01T00:00:00+01:00; default the beginning of the log"},
			&cli.StringFlag{Name: flagTo, Usage: "before this business time; default the end of the log"},
			&cli.StringFlag{Name: settings.FlagTenant, Usage: "this tenant only; rows of the file without a tenant are its"},
			&cli.StringFlag{Name: "item", Usage: "measure this item only"},
			&cli.StringFlag{Name: "location", Usage: "measure this location only"},
			&cli.IntFlag{Name: flagItems, Value: 10, Usage: "list at most this many positions, those that change most first; 0: none"},
			&cli.BoolFlag{Name: flagHistory, Usage: "what was imported as history orders too in both runs; the live planning ordered nothing for it"},
			archive.Flag(),
			&cli.BoolFlag{Name: settings.FlagDryRun, Usage: "check the file, and count the events and positions of the span"},
		}, masterdata.FormatFlags())...),
		Action: settings.On(func(cctx *cli.Context) (*store.DB, error) {
			// The lock, the log and the transactions that fill and drop.
			db, _, err := settings.OpenSchemaAs(cctx, grants.Migrator, "whatif", 4)
			return db, err
		}, asked, run),
	}
}

func asked(cctx *cli.Context) (a whatif.Asked, err error) {
	if cctx.NArg() > 0 {
		return a, exit.Usage("whatif takes no argument, got %q; name the file by --%s", cctx.Args().First(), flagRule)
	}
	forecast := cctx.String(flagForecast)
	if cctx.String(flagRule) == "" && forecast == "" {
		return a, exit.Usage("say what is to be other: --%s FILE, --%s METHOD or both", flagRule, flagForecast)
	}
	if names := method.Names(); forecast != "" && !slices.Contains(names, forecast) {
		return a, exit.Usage("--%s: no method is named %q; %sthere are %s", flagForecast, forecast, terminal.Suggest(forecast, names), strings.Join(names, ", "))
	}
	a.Span = span.Span{Tenant: cctx.String(settings.FlagTenant)}
	a.Item, a.Location, a.History = cctx.String("item"), cctx.String("location"), cctx.Bool(flagHistory)
	if a.From, err = timeOf(cctx, flagFrom); err != nil {
		return a, err
	}
	if a.To, err = timeOf(cctx, flagTo); err != nil {
		return a, err
	}
	if !a.To.IsZero() && !a.From.Before(a.To) {
		return a, exit.Usage("--%s must be before --%s", flagFrom, flagTo)
	}
	a.Workers = func(changed bool) whatif.Workers {
		if changed {
			return workers.Planning(forecast)
		}
		return workers.Planning("")
	}
	return a, nil
}

// timeOf reads a time, or a day, which begins at 0:00 UTC.
func timeOf(cctx *cli.Context, flag string) (time.Time, error) {
	text := cctx.String(flag)
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day, nil
	}
	at, err := terminal.ReadTime(flag, text, time.Time{})
	if err != nil {
		return at, exit.Usage("--%s %q: want a day such as 2026-02-01, or a time such as 2026-02-01T08:00:00Z", flag, text)
	}
	return at, nil
}

func run(cctx *cli.Context, db *store.DB, a whatif.Asked) (err error) {
	if a.Archives, err = archive.Given(cctx.Context, cctx, db); err != nil {
		return err
	}
	if a.Archives != nil {
		defer a.Archives.Close()
	}
	file := cctx.String(flagRule)
	rules := func(on *store.DB, dryRun bool) error {
		tenant := a.Tenant
		if tenant == "" {
			tenant = settings.Named(settings.FlagTenant).Standard
		}
		_, err := masterdata.ApplyRules(cctx, on, file, tenant, time.Unix(0, 0), dryRun)
		return err
	}
	if file != "" {
		if err := rules(db, true); err != nil {
			return err
		}
		a.Change = func(side *store.DB) error { return rules(side, false) }
	}
	progress := terminal.NewStatus(cctx.App.ErrWriter)
	defer progress.End()
	a.Progress = func(read, all int64, at time.Time) {
		progress.Say(wording.Sprintf("read %d of %d positions of the log, up to %s", read, all, at.UTC().Format(time.DateOnly)))
	}
	if cctx.Bool(settings.FlagDryRun) {
		content, err := whatif.Count(cctx.Context, db, a)
		if err != nil {
			return err
		}
		progress.End()
		return showContent(cctx, content)
	}
	report, err := whatif.Run(cctx.Context, db, a)
	if err != nil {
		return err
	}
	progress.End()
	report.Items = report.Items[:min(len(report.Items), max(0, cctx.Int(flagItems)))]
	return show(cctx, report)
}
