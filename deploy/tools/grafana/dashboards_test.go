package grafana

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// Every dashboard has only fields that Grafana knows, each of its type.
func TestDashboardsAreGrafanas(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob("../../grafana/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard.Dashboard
		if err := problem(d.UnmarshalJSONStrict(raw)); err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
			continue
		}
		if err := problem(d.Validate()); err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
		if want := "composerp-" + strings.TrimSuffix(filepath.Base(file), ".json"); d.Uid == nil || *d.Uid != want || len(d.Panels) == 0 {
			t.Errorf("%s: its uid is %v, want %s, and it has %d panels", filepath.Base(file), d.Uid, want, len(d.Panels))
		}
		for _, broken := range []string{`"uid"`, `"fieldConfig"`, `"legendFormat"`, `"showLegend"`, `"graphMode"`} {
			text := strings.Replace(string(raw), broken, `"unknownField"`, 1)
			if text == string(raw) {
				continue
			}
			if problem(new(dashboard.Dashboard).UnmarshalJSONStrict([]byte(text))) == nil {
				t.Errorf("%s: the check takes a field for known that Grafana does not have, instead of %s", filepath.Base(file), broken)
			}
		}
	}
}

// problem is nil for an empty list of errors too, which the SDK returns where nothing is wrong.
func problem(err error) error {
	var list cog.BuildErrors
	if errors.As(err, &list) && len(list) == 0 {
		return nil
	}
	return err
}
