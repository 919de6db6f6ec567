package rebuilds_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/projection"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/rebuilds"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// A rebuild that has ended at the end of the log stands still from then on, and falls behind it; a cancelled one does
// neither.
func TestARebuildThatStandsStillShows(t *testing.T) {
	t.Parallel()
	env := workertest.NewDatabaseEnv(t)
	env.StartTicker()
	var names []string
	for _, p := range workers.Projections() {
		names = append(names, p.Name)
	}
	registry := prometheus.NewRegistry()
	rebuilds.Register(registry, env.DB, names)
	still := func(name string) float64 {
		return workertest.Metric(t, registry, "composerp_projection_rebuild_still_seconds", "projection", name)
	}
	behind := func(name string) float64 {
		return workertest.Metric(t, registry, "composerp_projection_rebuild_behind_events", "projection", name)
	}
	p, by := workers.Projections()[0], operatorlog.By{Operator: "ann", Reason: "test"}
	if still(p.Name) != 0 || behind(p.Name) != 0 {
		t.Errorf("without a rebuild it stands still for %v s, %v behind", still(p.Name), behind(p.Name))
	}
	env.Must(projection.Rebuild(t.Context(), env.DB, p, "test", by, nil))
	env.Admit(workertest.Sales(t, 5)...)
	env.Exec(`UPDATE projection SET rebuild_moved_at = now() - interval '1 hour'`)
	env.Eventually("the rebuild is five events behind", func() bool { return behind(p.Name) == 5 })
	if s := still(p.Name); s < 3600 || s > 7200 {
		t.Errorf("it stands still for %v s, want an hour", s)
	}
	if other := workers.Projections()[1].Name; still(other) != 0 || behind(other) != 0 {
		t.Errorf("%s has no rebuild, and stands still for %v s, %v behind", other, still(other), behind(other))
	}
	env.Must(projection.Cancel(t.Context(), env.DB, p, "test", by))
	if still(p.Name) != 0 || behind(p.Name) != 0 {
		t.Errorf("cancelled, it stands still for %v s, %v behind", still(p.Name), behind(p.Name))
	}
}
