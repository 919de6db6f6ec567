package planner

import (
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/workers/analytics/calibration"
	"github.com/composerp/composerp/workers/replenishment"
)

// calibrationReport is `forecast calibration -o json`. What is no number is null.
type calibrationReport struct {
	From      event.Date         `json:"from"`
	To        event.Date         `json:"to"`
	Items     int                `json:"items"`
	LeadTimes []leadTimePromises `json:"leadTimes"`
}

type leadTimePromises struct {
	Days     int       `json:"leadTimeDays"`
	Cycles   int       `json:"cycles"`
	Demand   *float64  `json:"demand"`
	Promises []promise `json:"promises"`
}

type promise struct {
	Nominal *float64 `json:"nominalPercent"`
	Cycle   *float64 `json:"cycleServicePercent"`
	Fill    *float64 `json:"fillRatePercent"`
	Points  *float64 `json:"meanReorderPoint"`
}

func calibrationCommand(flags []cli.Flag) *cli.Command {
	return &cli.Command{
		Name: "calibration", Usage: "compare the service that reorder points promise with what they would have kept",
		Description: "The last third of the days with demand is held back. Of each forecast that begins in it, the reorder point that planning\n" +
			"computes for each lead time and nominal cycle service is held against the demand of the lead time's days. The cycle\n" +
			"service is the part of these cycles without a stock-out, the fill rate the part of their demand that was on hand.\n" +
			"Items without demand in these days are left out. Undershoot, a forecast's age and late suppliers are not in it.",
		Flags:  flags,
		Action: settings.OnSchema("forecast", 1, noArgument, forecastCalibration),
	}
}

func noArgument(cctx *cli.Context) (masterdata.PositionKey, error) {
	if cctx.NArg() > 0 {
		return masterdata.PositionKey{}, exit.Usage("forecast calibration takes no argument, got %q; name an item by --item", cctx.Args().First())
	}
	return positionFlags(cctx), nil
}

func forecastCalibration(cctx *cli.Context, db *store.DB, of masterdata.PositionKey) error {
	r, err := calibration.Measure(cctx.Context, db, of, func(expected planning.ExpectedDemand, leadTimeDays int, serviceLevel float64) float64 {
		return replenishment.Levels(expected, leadTimeDays, 0, serviceLevel).ReorderPoint.InexactFloat64()
	})
	if errors.Is(err, calibration.ErrNothing) {
		return exit.Usage("%v", err)
	}
	if err != nil {
		return err
	}
	report := calibrationReport{r.From, r.To, r.Items, make([]leadTimePromises, len(r.LeadTimes))}
	for i, l := range r.LeadTimes {
		report.LeadTimes[i] = leadTimePromises{l.Days, l.Cycles, maybe(l.Demand), make([]promise, len(l.Achieved))}
		for k, a := range l.Achieved {
			report.LeadTimes[i].Promises[k] = promise{maybe(100 * a.Nominal), maybe(100 * a.CycleService), maybe(100 * a.Filled), maybe(a.Points / float64(l.Cycles))}
		}
	}
	return terminal.Show(cctx, report, func(w io.Writer) {
		fmt.Fprintf(w, "%s, forecasts from %s to %s\n", wording.Count(int64(r.Items), "item"), r.From, r.To)
		for _, measure := range []struct {
			title string
			of    func(calibration.Achieved) float64
		}{
			{"cycle service, in percent", func(a calibration.Achieved) float64 { return a.CycleService }},
			{"fill rate over the lead time, in percent", func(a calibration.Achieved) float64 { return a.Filled }},
		} {
			fmt.Fprintf(w, "\n%s\n", measure.title)
			head := []any{"LEAD TIME", "CYCLES"}
			for _, p := range calibration.Nominal {
				head = append(head, fmt.Sprintf("NOMINAL %.0f", 100*p))
			}
			terminal.Row(w, head...)
			for _, l := range r.LeadTimes {
				row := []any{fmt.Sprintf("%d d", l.Days), l.Cycles}
				for _, a := range l.Achieved {
					row = append(row, Digits(100*measure.of(a), 1))
				}
				terminal.Row(w, row...)
			}
		}
	})
}
