package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/store/storetest"
)

// SeedForecasts are the forecasts of a tenant of its own, and what came of them: of
// a cup the table that package measure's tests work by hand, of a jar that never
// sells, and of one whose days are not closed yet.
const SeedForecasts = `
INSERT INTO item (tenant_id, item_id, name) VALUES ('t4', 'cup', 'A cup');
INSERT INTO forecast (tenant_id, location_id, item_id, start_day, method, daily, error_std_dev) VALUES
	('t4', 'shop', 'cup', '2024-03-09', 'SES 0.2', '{3,3,3,9,9}', 2.5), ('t4', 'shop', 'cup', '2024-03-12', 'SES 0.05 weekly', '{2,5,7.125,7,7,7,7,7}', 2.125),
	('t4', 'shop', 'jar', '2024-03-09', 'SES 0.05 weekly', '{0,0.5,0}', 0), ('t4', 'shop', 'pot', '2024-03-14', 'SES 0.05 weekly', '{1,1,1}', 1);
INSERT INTO demand (tenant_id, location_id, item_id, day, sold, returned)
SELECT 't4', 'shop', 'cup', date '2024-03-01' + n, sold, returned
FROM (VALUES (1, 4, 0), (3, 2, 0), (6, 6, 0), (7, 4, 0), (8, 2, 0), (9, 9, 1), (10, 0, 5), (11, 4, 0), (12, 4, 0), (13, 50, 0)) AS d(n, sold, returned);
INSERT INTO demand_calendar (tenant_id, location_id, open_day, last_run) VALUES ('t4', 'shop', '2024-03-14', '2024-03-13')`

// Output of all that read the database, with the errors of wrong arguments.
func TestForecastCommands(t *testing.T) {
	t.Parallel()
	database := storetest.URL(t)
	run := func(line string) outcome {
		return command(t, append(strings.Fields("forecast "+line), "--database-url", database)...)
	}
	if r := run("accuracy"); r.code != exit.OK || !strings.Contains(r.out, "no forecast has a closed day yet") {
		t.Errorf("of nothing: exit %d: %s%s", r.code, r.out, r.errors)
	}
	if r := run("accuracy -o json"); r.code != exit.OK || !strings.Contains(r.out, `"byItem": []`) || !strings.Contains(r.out, `"rmsse": null`) {
		t.Errorf("of nothing: exit %d: %s%s", r.code, r.out, r.errors)
	}
	if r := run("calibration"); r.code != exit.WrongUsage || !strings.Contains(r.errors, "there is no demand yet") {
		t.Errorf("of nothing: exit %d: %s%s", r.code, r.out, r.errors)
	}
	if r := run("show cup"); r.code != exit.WrongUsage || !strings.Contains(r.errors, "no forecast of item cup") {
		t.Errorf("of nothing: exit %d: %s%s", r.code, r.out, r.errors)
	}
	storetest.Exec(t, database, SeedForecasts)
	for line, want := range map[string][]string{
		"accuracy --horizon 3 --sort rmsse":                                 {"2 items, 2024-03-09 to 2024-03-13, the first 3 days", "1 of them never changed", "0.692", "0.902", "1.115"},
		"accuracy --horizon 3 --item cup --from 2024-03-11 --to 2024-03-11": {"1 item, 2024-03-11 to 2024-03-11"},
		"accuracy --tenant t3":                                              {"no forecast has a closed day yet"},
		"calibration":                                                       {"1 item, forecasts from 2024-03-10 to 2024-03-13", "NOMINAL 99", "fill rate over the lead time"},
		"list":                                                              {"cup", "42.1", "SES 0.05 weekly", "A cup", "pot"},
		"list --item pot":                                                   {"2024-03-14"},
		"show cup":                                                          {"cup A cup", "2024-03-14 Thu", "7.125", "2.125"},
		"show cup --location nowhere":                                       {""},
		"list --location nowhere":                                           {"TENANT"},
		"accuracy --limit 1 --horizon 1":                                    {"cup"},
	} {
		r := run(line)
		if r.code != exit.OK && line != "show cup --location nowhere" {
			t.Errorf("forecast %s: exit %d: %s", line, r.code, r.errors)
		}
		for _, part := range want {
			if !strings.Contains(r.out, part) {
				t.Errorf("forecast %s does not say %q:\n%s", line, part, r.out)
			}
		}
	}
	if r := run("list --limit 1"); !strings.Contains(r.errors, "the first 1 of 3") || strings.Contains(r.out, "jar") {
		t.Errorf("list --limit 1: %s%s", r.out, r.errors)
	}
}

func TestForecastCommandsRefuse(t *testing.T) {
	t.Parallel()
	for line, says := range map[string]string{
		"accuracy --horizon 0":                       "at least 1 day",
		"accuracy --from yesterday":                  "want a day",
		"accuracy --to 2024-02-30":                   "want a day",
		"accuracy --from 2024-03-02 --to 2024-03-01": "is after",
		"accuracy --sort name":                       "want units, rmsse",
		"accuracy --limit -1":                        "0 or more",
		"accuracy cup":                               "takes no argument",
		"accuracy -o yaml":                           "want table or json",
		"list --limit -1":                            "0 or more",
		"list cup":                                   "takes no argument",
		"show":                                       "name one item",
		"calibration cup":                            "takes no argument",
		"benchmark a b":                              "name one folder",
		"show cup jar":                               "name one item",
	} {
		r := command(t, strings.Fields("forecast "+line)...)
		if r.code != exit.WrongUsage || !strings.Contains(r.errors, says) {
			t.Errorf("forecast %s: exit %d, %q", line, r.code, r.errors)
		}
	}
}

// The benchmark needs no server: its table, and what it says of what it cannot read.
func TestForecastBenchmark(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if r := command(t, "forecast", "benchmark", folder); r.code != exit.WrongUsage || !strings.Contains(r.errors, "want files that end in .ndjson") {
		t.Errorf("of an empty folder: exit %d: %s", r.code, r.errors)
	}
	if r := command(t, "forecast", "benchmark", filepath.Join(folder, "none")); r.code != exit.WrongUsage || !strings.Contains(r.errors, "none") {
		t.Errorf("of no folder: exit %d: %s", r.code, r.errors)
	}
	if r := command(t, "forecast", "benchmark"); r.code != exit.WrongUsage || !strings.Contains(r.errors, "name one folder") {
		t.Errorf("of nothing: exit %d: %s", r.code, r.errors)
	}
	if err := os.WriteFile(filepath.Join(folder, "series.csv"), []byte(SeriesCSV), 0o600); err != nil {
		t.Fatal(err)
	}
	r := command(t, "forecast", "benchmark", folder)
	for _, text := range []string{"2 series, 6 values held back", "COVERAGE %", "seasonal naive", "optimised theta", "chosen"} {
		if r.code != exit.OK || !strings.Contains(r.out, text) {
			t.Errorf("exit %d, without %q: %s%s", r.code, text, r.out, r.errors)
		}
	}
}

// SeriesCSV are two quarterly series: one with a season, and one of spare parts.
const SeriesCSV = `id,period,horizon
sun,4,4,10,20,30,20,11,21,32,20,12,22,33,22,12,23,35,23,13,24,36,24
part,1,2,0,2,0,1,0,0,0,0,4,0,0,1,0,2
`
