package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/deploy/monitoring"
	"github.com/composerp/composerp/store/storetest"
)

// everyPanelHasData expects data of a fleet with work in every panel of every dashboard, by the Prometheus that
// `up --observe` has started, which it gives.
func (h *environment) everyPanelHasData(f *fleet) observer {
	h.Helper()
	t := h.T
	found := regexp.MustCompile(`dashboards +(http://[0-9.:]+)(/\S+)`).FindStringSubmatch(f.log.String())
	if found == nil {
		t.Fatalf("up --observe names no dashboards: %s", f.log)
	}
	prometheus := observer{t, found[1]}
	if !prometheus.answersFor(h.dir) {
		t.Errorf("another Prometheus than its own answers at %s", prometheus.at)
	}
	t.Log(prometheus.get("/api/v1/status/buildinfo")) // by make matrix another than Debian's
	if page := prometheus.get(found[2]); !strings.Contains(page, "<title>Composerp</title>") || !strings.Contains(page, "composerp_worker_slots") {
		t.Errorf("the console page is\n%s", page)
	}
	// What some panels are about has to be there: a pool that the fleet scales, lanes, and dead letters.
	h.ok("autoscale", "set", "ledger", "--min", "1", "--max", "2")
	h.ok("lanes", "set", "stockview", "4")
	h.run("audit", "--wait", "1s")
	database := regexp.MustCompile(`database +postgres://(\S+) +user (\S+), password (\S+)`).FindStringSubmatch(f.log.String())
	if database == nil {
		t.Fatalf("up names no database: %s", f.log)
	}
	for _, made := range []string{
		`INSERT INTO dead_letter (id, consumer, message_id, type, routing_key, error, attempt, headers, body, died_at) VALUES (gen_random_uuid(), 'ledger', 'm', '', '', 'no', 4, '{}', '', now())`,
		// A forecast, and the demand that it was for.
		`INSERT INTO demand_calendar (tenant_id, location_id, open_day, last_run) VALUES ('north', 'shop', '2026-02-09', '2026-02-05')`,
		`INSERT INTO demand SELECT 'north', 'shop', 'cup', date '2026-01-29' + n, 4 + n % 2, 0 FROM generate_series(0, 10) n`,
		`INSERT INTO forecast (tenant_id, location_id, item_id, start_day, method, daily, error_std_dev) VALUES ('north', 'shop', 'cup', '2026-02-05', 'SES', '{4.5,4.5,4.5,4.5,4.5}', 1)`,
	} {
		storetest.Exec(t, fmt.Sprintf("postgres://%s:%s@%s", database[2], database[3], database[1]), made)
	}
	stop := work(t, h)
	missing := map[string]string{}
	for _, d := range monitoring.Dashboards {
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				p.Otherwise = "" // what stands in for it always has data
				missing[d.Name+": "+p.Title] = p.Expand("1m", "ledger")
			}
		}
	}
	t.Cleanup(func() {
		for panel, query := range missing {
			t.Logf("no data: %s: %s", panel, query)
		}
	})
	localtest.Eventually(t, 2*time.Minute, "every panel has data", func() bool {
		// Until the next scrape nothing changes, and all these queries keep a core busy.
		select {
		case <-t.Context().Done():
		case <-time.After(time.Second):
		}
		for panel, query := range missing {
			if !prometheus.hasData(query) {
				return false
			}
			delete(missing, panel)
		}
		return true
	})
	if prometheus.hasData("composerp_is_no_metric") {
		t.Error("a metric that there is none of has data")
	}
	prometheus.rulesAreHealthy()
	labelsAreClosed(t, observer{t, f.served(t, "metrics")}.get(""))
	stop()
	return prometheus
}

// closedLabels are the labels that metrics may have, each of a closed set: those of the design, and beside them le
// and quantile of histograms and summaries, what was declared anew, the pool of database sessions, and the
// versions of a build.
var closedLabels = strings.Fields("queue worker outcome reason dependency stage pool state kind projection process le quantile what db_name version go")

// Metrics that a fleet's start does not show are on the reference page, which another test holds to the code.
func TestLabelsAreClosed(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/reference/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [a-z]+ \\| ([a-z_, ]*) \\|").FindAllStringSubmatch(string(page), -1)
	for _, row := range rows {
		for _, label := range strings.Split(row[2], ", ") {
			if label != "" && !slices.Contains(closedLabels, label) {
				t.Errorf("%s has the label %s, which is not one of a closed set", row[1], label)
			}
		}
	}
	if len(rows) < 30 {
		t.Errorf("the page has %d metrics that this test can read", len(rows))
	}
}

// labelsAreClosed checks the metrics of a fleet that has handled the sales of work: a label of another name, or a
// value that names a tenant, an item, a location or an event, would make a series of each.
func labelsAreClosed(t *testing.T, metrics string) {
	t.Helper()
	labels := regexp.MustCompile(`[{,]([a-z_A-Z]+)="((?:[^"\\]|\\.)*)"`)
	open := regexp.MustCompile(`^(?:t1|north|85123A|UK-WH|shop|cup|S[0-9]+|[0-9a-f]{8}-[0-9a-f-]{27})$`)
	series := 0
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		series++
		for _, label := range labels.FindAllStringSubmatch(line, -1) {
			if !slices.Contains(closedLabels, label[1]) {
				t.Errorf("a metric has the label %s, which is not one of a closed set: %s", label[1], line)
			}
			if open.MatchString(label[2]) {
				t.Errorf("a label names what there may be any number of: %s", line)
			}
		}
	}
	if handled := regexp.MustCompile(`composerp_worker_messages_total{outcome="handled",worker="ledger"} [1-9]`); series < 500 || !handled.MatchString(metrics) {
		t.Errorf("%d series, and none tells of a sale that was handled: the test shows nothing:\n%s", series, metrics)
	}
}

// work has the test's fleet handle sales until stop is called: rates need some.
func work(t *testing.T, h *environment) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	stop = func() { cancel(); working.Wait() }
	t.Cleanup(stop)
	working.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			sale := fmt.Sprintf(`{"saleId":"S%d","itemId":"85123A","locationId":"UK-WH","quantity":1,"amount":2,"timestamp":"2026-02-09T12:00:00Z"}`, i)
			if r := h.run("publish", "SALE_COMPLETED", "--tenant", "t1", "--data", sale); r.code != 0 {
				t.Errorf("publishing a sale: exit %d, %s", r.code, r.errors)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Second):
			}
		}
	})
	return stop
}

// observer asks a Prometheus.
type observer struct {
	*testing.T
	at string
}

func (o observer) get(path string) string {
	o.Helper()
	response, err := http.Get(o.at + path)
	if err != nil {
		o.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		o.Fatalf("%s answers %s, %v: %s", path, response.Status, err, raw)
	}
	return string(raw)
}

// answersFor reports whether a Prometheus that keeps its data under a directory answers there: the fleet of another
// test may have taken the port since.
func (o observer) answersFor(dir string) bool {
	o.Helper()
	response, err := http.Get(o.at + "/api/v1/status/flags")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	return err == nil && strings.Contains(string(raw), dir)
}

// hasData reports whether a query gives a number. NaN is none.
func (o observer) hasData(query string) bool {
	o.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(o.get("/api/v1/query?query="+url.QueryEscape(query))), &answer); err != nil {
		o.Fatal(err)
	}
	for _, series := range answer.Data.Result {
		if series.Value[1] != "NaN" {
			return true
		}
	}
	return false
}

// rulesAreHealthy checks that Prometheus evaluates every alert, without an error.
func (o observer) rulesAreHealthy() {
	o.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := json.Unmarshal([]byte(o.get("/api/v1/rules")), &answer); err != nil {
		o.Fatal(err)
	}
	evaluated := 0
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			evaluated++
			if r.Health != "ok" {
				o.Errorf("Prometheus evaluates %s with: %s %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if evaluated != len(monitoring.Alerts) {
		o.Errorf("Prometheus evaluates %d alerts, want %d", evaluated, len(monitoring.Alerts))
	}
}
