package cli_test

import (
	"github.com/composerp/composerp/cli"
	"github.com/composerp/composerp/store/storetest"
)

// forecastGoldens are those of a tenant of its own.
func forecastGoldens(h *environment) []goldenLine {
	storetest.Exec(h, h.database, cli.SeedForecasts)
	return []goldenLine{
		{command: "forecast accuracy", args: []string{"--tenant", "t4", "--horizon", "3"}},
		{command: "forecast benchmark", args: []string{h.file("series.csv", cli.SeriesCSV)}, mask: []string{"seconds"}, noTable: true},
		{command: "forecast calibration", args: []string{"--tenant", "t4"}},
		{command: "forecast list", args: []string{"--tenant", "t4"}},
		{command: "forecast show", args: []string{"cup", "--tenant", "t4"}},
	}
}
