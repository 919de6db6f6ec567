package fleet

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/relay"
	"github.com/composerp/composerp/workers/runtime/watchdog"
	"github.com/composerp/composerp/workers/worker"
)

// A dashboard of the version before goes on: every renamed metric is there by both names, with one value.
func TestRenamedMetricsAreServedByBothNames(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	if _, _, err := failures.TripCircuit(t.Context(), db, "supplier smith", "o:send", 0, "503", 0, worker.DefaultCircuitBackoff); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	relay.NewMetrics(registry)
	watchdog.NewMetrics(registry)
	RegisterFailures(registry, db)
	var said bytes.Buffer
	at := serving(t, slog.New(slog.NewTextHandler(&said, nil)), registry, &health{})
	_, page := asked(t, at, "/metrics")
	if !strings.Contains(page, "\ncomposerp_open_circuits 1\n") {
		t.Errorf("no open circuit in\n%s", page)
	}
	for name, old := range RenamedMetrics {
		_, now, _ := strings.Cut(page, "\n"+name+" ")
		_, before, found := strings.Cut(page, "\n"+old+" ")
		now, _, _ = strings.Cut(now, "\n")
		before, _, _ = strings.Cut(before, "\n")
		if !found || now != before || now == "" {
			t.Errorf("%s is %q, %s is %q", name, now, old, before)
		}
		if !strings.Contains(page, "# HELP "+old+" Deprecated, use "+name+".\n") {
			t.Errorf("the help of %s does not name %s", old, name)
		}
		if n := strings.Count(said.String(), "metric="+old+" use="+name+"\n"); n != 1 {
			t.Errorf("%s was logged %d times, want once", old, n)
		}
	}
}
