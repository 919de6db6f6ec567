package planner

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/workers/forecasting/benchmark"
)

// benchmarkReport is `forecast benchmark -o json`. What is no number is null.
type benchmarkReport struct {
	Series   int             `json:"series"`
	HeldBack int             `json:"heldBackValues"`
	Unscaled int             `json:"seriesWithoutScale"`
	Short    int             `json:"seriesWithoutInterval"`
	Nominal  int             `json:"nominalCoveragePercent"`
	Methods  []methodFigures `json:"methods"`
}

type methodFigures struct {
	Method   string   `json:"method"`
	Simple   bool     `json:"simple"`
	SMAPE    *float64 `json:"smapePercent"`
	MASE     *float64 `json:"mase"`
	RMSSE    *float64 `json:"rmsse"`
	Bias     *float64 `json:"biasPercent"`
	Coverage *float64 `json:"coveragePercent"`
	Seconds  *float64 `json:"seconds"`
}

func benchmarkCommand() *cli.Command {
	return &cli.Command{
		Name: "benchmark", Usage: "measure all forecasting methods on files of series", ArgsUsage: "DIR|FILE",
		Description: "The last values of each series are held back; each method forecasts them from those before. docs/howto/\n" +
			"forecast-benchmark.md has the format of the files, and how to bring those of M3 and M4 into it. No server is needed.\n\n" +
			"sMAPE and bias are in percent; MASE and RMSSE are relative to the changes of the series before its end: lower is\n" +
			"better. COVERAGE is the part of the values within the interval of nominally 95 %. SECONDS is the time of the\n" +
			"forecasts alone. `chosen` takes the combination where all values of a series are positive, and TSB-mean elsewhere; `worker`\n" +
			"is what the forecasting worker does, and is measured where all series have the period 7.",
		Flags:  []cli.Flag{terminal.OutputFlag()},
		Action: forecastBenchmark,
	}
}

func forecastBenchmark(cctx *cli.Context) error {
	if cctx.NArg() != 1 {
		return exit.Usage("name one folder or file of series: composerp forecast benchmark DIR")
	}
	all, err := benchmark.Read(cctx.Args().First())
	if errors.Is(err, benchmark.ErrNoSeries) || errors.Is(err, fs.ErrNotExist) {
		return exit.Usage("%v", err)
	}
	if err != nil {
		return err
	}
	progress := terminal.NewStatus(cctx.App.ErrWriter)
	defer progress.End()
	r, err := benchmark.Run(cctx.Context, all, func(done, all int) {
		progress.Say(wording.Sprintf("measured %d of %d series", done, all))
	})
	if err != nil {
		return err
	}
	progress.End()
	report := benchmarkReport{r.Series, r.HeldBack, r.Unscaled, r.Short, benchmark.Nominal, make([]methodFigures, len(r.Methods))}
	for i, m := range r.Methods {
		seconds := m.Took.Round(time.Millisecond).Seconds()
		report.Methods[i] = methodFigures{m.Method, m.Simple, maybe(m.SMAPE), maybe(m.MASE), maybe(m.RMSSE), maybe(m.Bias), maybe(m.Coverage), &seconds}
	}
	return terminal.Show(cctx, report, func(w io.Writer) {
		fmt.Fprintf(w, "%d series, %d values held back\n", r.Series, r.HeldBack)
		if r.Unscaled > 0 {
			fmt.Fprintf(w, "%d of them never changed, and have neither MASE nor RMSSE\n", r.Unscaled)
		}
		if r.Short > 0 {
			fmt.Fprintf(w, "%d of them are too short for an interval\n", r.Short)
		}
		fmt.Fprintln(w)
		terminal.Table(w, r.Methods, []any{"METHOD", "SMAPE", "MASE", "RMSSE", "BIAS %", "COVERAGE %", "SECONDS"}, func(m *benchmark.Figures) []any {
			return []any{m.Method, Digits(m.SMAPE, 2), Digits(m.MASE, 3), Digits(m.RMSSE, 4), Digits(m.Bias, 1), Digits(m.Coverage, 1), Digits(m.Took.Seconds(), 2)}
		})
	})
}
