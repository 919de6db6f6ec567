package monitoring_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/golden"
	"github.com/composerp/composerp/deploy/monitoring"
)

// What is made of the lists is checked in, and nothing else is there.
func TestGenerated(t *testing.T) {
	t.Parallel()
	// Where the servers of compose.yaml are.
	usual := monitoring.ServerConfig{Fleet: "127.0.0.1:9464", Brokers: []string{"127.0.0.1:15692"}, Vhost: "composerp"}
	files := map[string]string{
		"../prometheus/prometheus.yaml":         monitoring.ScrapeConfig(usual, 15*time.Second, "rules/composerp.yaml"),
		"../prometheus/consoles/composerp.html": monitoring.Console(monitoring.Dashboards),
		"../prometheus/rules/composerp.yaml":    monitoring.Rules(monitoring.Alerts),
		"../prometheus/tests/composerp.yaml":    monitoring.RuleTests(monitoring.Alerts, "../rules/composerp.yaml"),
		"../../docs/reference/dashboards.md":    monitoring.Page(monitoring.Dashboards, monitoring.Alerts),
	}
	for _, d := range monitoring.Dashboards {
		files["../grafana/dashboards/"+d.Name+".json"] = monitoring.Grafana(d)
	}
	for path, text := range files {
		golden.Compare(t, path, text)
	}
	there, err := filepath.Glob("../grafana/dashboards/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range there {
		if files[path] == "" {
			t.Errorf("%s is of no dashboard", path)
		}
	}
}

// A page of Prometheus is a Go template: two braces would be taken for an action.
func TestTheConsoleIsNoTemplate(t *testing.T) {
	t.Parallel()
	page := monitoring.Console(monitoring.Dashboards)
	if strings.Contains(page, "{{") {
		t.Error("the console page has two braces in a row")
	}
	for _, outside := range []string{"http://", "https://", "//cdn", "@import"} {
		if strings.Contains(strings.ReplaceAll(page, "http://www.w3.org/2000/svg", ""), outside) {
			t.Errorf("the console page loads something from elsewhere: it has %s", outside)
		}
	}
	if strings.Contains(page, "/* dashboards */ []") {
		t.Error("the console page has no list of dashboards")
	}
}

func TestPanelsAreDescribed(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, d := range monitoring.Dashboards {
		if names[d.Name] {
			t.Errorf("two dashboards are named %s", d.Name)
		}
		names[d.Name] = true
		titles := map[string]bool{}
		for _, r := range d.Rows {
			for _, p := range r.Panels {
				if titles[p.Title] {
					t.Errorf("%s has two panels %s", d.Name, p.Title)
				}
				titles[p.Title] = true
				if !strings.HasSuffix(p.Description, ".") || strings.Count(p.Description, ". ") > 0 {
					t.Errorf("%s: %s is to have a description of one sentence, has %q", d.Name, p.Title, p.Description)
				}
				if strings.Contains(p.Query, "$worker") && !d.PerWorker {
					t.Errorf("%s: %s asks for a worker, and the dashboard has none", d.Name, p.Title)
				}
			}
		}
	}
}
