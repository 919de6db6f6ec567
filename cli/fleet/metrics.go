package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/settings"
)

// RenamedMetrics are the names of the version before, by the names of today.
// Both are served for one version.
var RenamedMetrics = map[string]string{
	"composerp_open_circuits":             "composerp_closed_gates",
	"composerp_relay_unpublishable_total": "composerp_relay_set_aside_total",
	"composerp_watchdog_snapshots_total":  "composerp_watchdog_looks_total",
}

// RegisterBuild adds what this process is built from.
func RegisterBuild(r prometheus.Registerer, version string) {
	promauto.With(r).NewGaugeVec(prometheus.GaugeOpts{Name: "composerp_build_info", Help: "1, with the program's version and Go's."}, []string{"version", "go"}).
		WithLabelValues(version, runtime.Version()).Set(1)
}

// RenamedMetricHelp is the help text of an old name.
func RenamedMetricHelp(name string) string { return "Deprecated, use " + name + "." }

// withOldNames adds each renamed metric under its old name, too.
type withOldNames struct{ prometheus.Gatherer }

func (g withOldNames) Gather() ([]*dto.MetricFamily, error) {
	families, err := g.Gatherer.Gather()
	for _, f := range families {
		if old, renamed := RenamedMetrics[f.GetName()]; renamed {
			help := RenamedMetricHelp(f.GetName())
			families = append(families, &dto.MetricFamily{Name: &old, Help: &help, Type: f.Type, Unit: f.Unit, Metric: f.Metric})
		}
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, err
}

// serveMetrics serves the metrics; the page, where there is one; /healthz, which tells whether the servers answer;
// /readyz, which tells whether the process can handle events as it should; and /livez, which tells that it runs. To end
// a process because a server is away helps nothing, so that a liveness probe asks /livez.
func (f *fleet) serveMetrics(ctx context.Context, g *errgroup.Group, registry *prometheus.Registry, health *health, page http.Handler) {
	// Once, at the start: what dashboards and alerts have to change.
	for _, name := range slices.Sorted(maps.Keys(RenamedMetrics)) {
		f.log.Info("deprecated metric is served for one more version", "metric", RenamedMetrics[name], "use", name)
	}
	mux := http.NewServeMux()
	// Exemplars are in the OpenMetrics format alone.
	mux.Handle("/metrics", promhttp.HandlerFor(withOldNames{registry}, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	if slices.Contains(f.with, settings.Profiles) {
		serveProfiles(mux)
	}
	mux.HandleFunc("/healthz", health.healthz)
	mux.HandleFunc("/readyz", health.readyz)
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	if page != nil {
		mux.Handle("/", page)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	g.Go(func() error {
		if err := server.Serve(f.metrics); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving the metrics: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
}
