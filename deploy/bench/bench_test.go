package bench_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/composerp/composerp/deploy/bench"
	"github.com/composerp/composerp/deploy/local/localtest"
)

// TestRun measures everything briefly and checks the report, not the speed.
func TestRun(t *testing.T) {
	t.Parallel()
	at := localtest.Servers(t)
	var progress []string
	report, err := bench.Run(t.Context(), bench.Config{
		DatabaseURL: at.DatabaseURL, AMQPURL: at.AMQPURL, ManagementURL: at.ManagementURL,
		Runs: 1, Events: 250, IdleEvents: 5, Progress: func(s string) { progress = append(progress, s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(progress) != 5 {
		t.Errorf("%d runs were reported, want 1 of each of 5:\n%s", len(progress), strings.Join(progress, "\n"))
	}
	raw, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var figures map[string]any
	if err := json.Unmarshal(raw, &figures); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sameWorkRatio", "ledgerRatio", "fleetRatio", "idleP50Ms", "idleP99Ms", "idleP50Ratio", "idleP99Ratio", "referencePerSecond"} {
		if v, ok := figures[name].(float64); !ok || v <= 0 {
			t.Errorf("%s is %v in %s", name, figures[name], raw)
		}
	}
	for _, name := range []string{"machine", "versions", "rounds", "goals"} {
		if figures[name] == nil {
			t.Errorf("the report lacks %s: %s", name, raw)
		}
	}
	if report.Versions["PostgreSQL"] == "" || report.Versions["RabbitMQ"] == "" {
		t.Errorf("versions: %v", report.Versions)
	}
	expectPrices(t, report)
	for _, r := range report.Rounds {
		if r.Idle.BrokerMs <= 0 || r.Idle.WorkerMs <= 0 || r.IdleReference.BrokerMs != 0 {
			t.Errorf("the idle latency's parts are %+v, the reference's %+v", r.Idle, r.IdleReference)
		}
	}
	for _, word := range []string{"same work", "at least 0.95", "idle latency, p99", "CPU A DELIVERY", "to the confirm", report.Versions["RabbitMQ"]} {
		if !strings.Contains(report.Table(), word) {
			t.Errorf("the table lacks %q:\n%s", word, report.Table())
		}
	}
}

// expectPrices expects every stage to have its price where the machine tells it.
func expectPrices(t *testing.T, r bench.Report) {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return
	}
	for name, p := range map[string]bench.Prices{"the reference": r.ReferencePrices, "same work": r.SameWorkPrices, "the ledger": r.LedgerPrices, "the whole fleet": r.FleetPrices} {
		if e := p.Event; e.Client <= 0 || e.Broker <= 0 || e.Database <= 0 || e.WALBytes <= 0 {
			t.Errorf("%s costs %+v an event", name, e)
		}
	}
	if r.FleetPrices.Delivery.Client >= r.FleetPrices.Event.Client/2 {
		t.Errorf("the fleet's prices are %+v", r.FleetPrices)
	}
	if r.Recording.Prompt <= 0 || r.Recording.Late <= r.Recording.Prompt {
		t.Errorf("recording costs %+v", r.Recording)
	}
	if len(r.Goals) != 10 || r.ClientRatio <= 0 || r.DatabaseRatio <= 0 || r.FleetMemoryMB < 10 {
		t.Errorf("client %v, database %v, memory %v MB, goals %+v", r.ClientRatio, r.DatabaseRatio, r.FleetMemoryMB, r.Goals)
	}
}

// TestRunAges ages a log a little, and expects correct tables at each age.
func TestRunAges(t *testing.T) {
	t.Parallel()
	at := localtest.Servers(t)
	report, err := bench.RunAges(t.Context(), bench.Config{
		DatabaseURL: at.DatabaseURL, AMQPURL: at.AMQPURL, ManagementURL: at.ManagementURL, Events: 150,
	}, []int{5000, 2500})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Ages) != 2 || report.Ages[0].Logged < 2490 || report.Ages[0].Logged > 2510 || report.Ages[1].Logged < 4990 {
		t.Errorf("the ages are %+v", report.Ages)
	}
	for _, a := range report.Ages {
		if a.Ratio <= 0 || a.Fleet.Handled < 5 {
			t.Errorf("with %d events: %+v", a.Logged, a)
		}
	}
	if !strings.Contains(report.Table(), "EVENTS IN THE LOG") {
		t.Errorf("the table is\n%s", report.Table())
	}
}

// TestRunProjections rebuilds from a short history, which gives the rows that the history has.
func TestRunProjections(t *testing.T) {
	t.Parallel()
	at := localtest.Servers(t)
	r, err := bench.RunProjections(t.Context(), bench.Config{DatabaseURL: at.DatabaseURL, AMQPURL: at.AMQPURL, ManagementURL: at.ManagementURL}, 4000)
	if err != nil {
		t.Fatal(err)
	}
	if r.Events != 4000 || r.Copy <= 0 || len(r.Rebuilds) != 3 || !strings.Contains(r.Table(), "TIMES A COPY") {
		t.Errorf("the report is %+v:\n%s", r, r.Table())
	}
	for _, b := range r.Rebuilds {
		if b.Rows != 1000 || b.Seconds <= 0 || b.Ratio <= 0 {
			t.Errorf("want a rebuild with a row for each of a thousand items, got %+v", b)
		}
	}
}

// TestRunAudit makes a short history, which the audit must find proven.
func TestRunAudit(t *testing.T) {
	t.Parallel()
	at := localtest.Servers(t)
	report, err := bench.RunAudit(t.Context(), bench.Config{
		DatabaseURL: at.DatabaseURL, AMQPURL: at.AMQPURL, ManagementURL: at.ManagementURL,
	}, 4000)
	if err != nil {
		t.Fatal(err)
	}
	if report.Events != 12_000 || report.Bytes == 0 || len(report.Audits) != 3 {
		t.Errorf("the report is %+v", report)
	}
	for i, fresh := range []int64{4000, 4000, 4000} {
		if a := report.Audits[i]; a.Fresh != fresh || a.Seconds <= 0 || len(a.Checks) != 3 {
			t.Errorf("audit %d is %+v, want %d events looked at", i, a, fresh)
		}
	}
	if table := report.Table(); !strings.Contains(table, "what is new") || !strings.Contains(table, "12000 events in the log") {
		t.Errorf("the table reads\n%s", table)
	}
}
