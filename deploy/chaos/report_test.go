package chaos

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/golden"
)

func example(seed uint64) Report {
	r := Report{Seed: seed, Duration: Seconds(time.Minute), Version: "v1", Machine: "2 cores, linux/amd64", Servers: map[string]string{"RabbitMQ": "4.0.5"}, At: time.Date(2026, time.March, 1, 10, 0, 0, 0, time.UTC),
		Took: Seconds(85 * time.Second), Faults: map[string]Tally{}, Published: 6400, Repeated: 12, Events: 6130, Dead: 60, Findings: []string{},
		Audit: Audit{Verdict: "proven", Logged: 13_800, Handled: map[string]int64{"ledger": 6130}}, Verdict: Clean}
	r.add(StepResult{Faults: []Injected{{Fault: "kill", Hold: Seconds(time.Second)}}, Recovery: Seconds(1500 * time.Millisecond)})
	r.add(StepResult{Faults: []Injected{{Fault: "kill", Hold: Seconds(time.Second)}, {Fault: "net-cut", Skipped: "no way"}}, Recovery: Seconds(2500 * time.Millisecond)})
	r.add(StepResult{Faults: []Injected{{Fault: "broker-kill"}}, Recovery: Seconds(time.Duration(seed) * time.Second)})
	return r
}

func TestResultsAddUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "results.ndjson")
	bad := example(9)
	bad.Lost, bad.Findings, bad.Verdict = 2, []string{"event 1 is 0 times in the log"}, Found
	for _, r := range []Report{example(3), example(3), bad} {
		if err := Append(path, r); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := Read(bytes.NewReader(raw))
	if err != nil || len(runs) != 3 || !reflect.DeepEqual(runs[2], bad) {
		t.Fatalf("%v: read back %+v, want %+v", err, runs[len(runs)-1], bad)
	}
	golden.Compare(t, "testdata/results.md", Markdown(runs))
	if _, err := Read(strings.NewReader("{}\nno JSON\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a broken line: %v", err)
	}
}

// Tables in the docs are of the runs in files of results, of all or the first ones: a run that make chaos adds does not
// make a page wrong.
func TestGoldenTablesInTheDocs(t *testing.T) {
	t.Parallel()
	for results, page := range map[string]string{
		"docs/chaos.ndjson":              "docs/explanation/reliability.md",
		"docs/chaos-rabbitmq-4.0.ndjson": "docs/reference/versions.md",
	} {
		t.Run(results, func(t *testing.T) {
			t.Parallel()
			goldenTable(t, results, "../../"+page)
		})
	}
}

func goldenTable(t *testing.T, results, page string) {
	t.Helper()
	begin, end := "<!-- chaos: composerp chaos report "+results+" -->\n", "<!-- end of chaos -->"
	file, err := os.Open("../../" + results)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	runs, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	n := len(runs)
	if !golden.Updating() {
		lines := strings.SplitN(golden.Between(t, page, begin, end), "\n", 4)
		if _, err := fmt.Sscanf(lines[min(2, len(lines)-1)], "| %d |", &n); err != nil || n > len(runs) {
			t.Fatalf("%s has a table of %d runs (%v), and the file has %d", page, n, err, len(runs))
		}
	}
	golden.CompareBetween(t, page, begin, end, Markdown(runs[:n]))
}

func TestTableHasTheFindings(t *testing.T) {
	t.Parallel()
	clean := example(1).Table()
	if !strings.Contains(clean, "CLEAN") || !strings.Contains(clean, "6130 events") || strings.Contains(clean, "✗") {
		t.Errorf("a clean run reads\n%s", clean)
	}
	r := example(1)
	r.Verdict, r.Dir, r.Findings = Found, "/var/tmp/chaos", make([]string, 30)
	if text := r.Table(); !strings.Contains(text, "/var/tmp/chaos") || !strings.Contains(text, "and 10 more") || strings.Contains(text, "CLEAN") {
		t.Errorf("a run with findings reads\n%s", text)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(r *Report, env *environment)
		want   Verdict
	}{
		"nothing found":  {func(*Report, *environment) {}, Clean},
		"a problem":      {func(_ *Report, env *environment) { env.findings = []string{"late"} }, Found},
		"something lost": {func(r *Report, _ *environment) { r.Lost = 1 }, Found},
		"doubled":        {func(r *Report, _ *environment) { r.Doubled = 1 }, Found},
		"no audit":       {func(r *Report, _ *environment) { r.Audit = Audit{} }, Found},
	} {
		r, env := example(1), &environment{}
		c.change(&r, env)
		if r.conclude(env, time.Minute); r.Verdict != c.want {
			t.Errorf("%s: %s, want %s", name, r.Verdict, c.want)
		}
	}
}
