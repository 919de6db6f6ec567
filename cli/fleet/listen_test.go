package fleet

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/workers/worker/scrape"
	"github.com/composerp/composerp/workers/worker/timing"
)

// servingWith is serving, with more than the metrics.
func servingWith(t *testing.T, registry *prometheus.Registry, with ...string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, ctx := errgroup.WithContext(t.Context())
	(&fleet{metrics: listener, with: with, log: slog.New(slog.DiscardHandler)}).serveMetrics(ctx, g, registry, &health{}, http.NotFoundHandler())
	return "http://" + listener.Addr().String()
}

// request asks with a header, and gives status and text.
func request(t *testing.T, url, host, accept string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

// Profiles are served when they are asked for, and to those that name a loopback address.
func TestProfilesAreServedOnLoopbackWhenAskedFor(t *testing.T) {
	t.Parallel()
	without := servingWith(t, prometheus.NewRegistry())
	with := servingWith(t, prometheus.NewRegistry(), settings.Profiles)
	for _, c := range []struct {
		url, host string
		status    int
	}{
		{without + "/debug/pprof/", "", http.StatusNotFound},
		{with + "/debug/pprof/", "", http.StatusOK},
		{with + "/debug/pprof/goroutine?debug=1", "localhost:9464", http.StatusOK},
		{with + "/debug/pprof/symbol", "[::1]:9464", http.StatusOK},
		{with + "/debug/pprof/", "elsewhere.example", http.StatusForbidden},
		{with + "/debug/pprof/goroutine", "10.0.0.1:9464", http.StatusForbidden},
		{with + "/metrics", "elsewhere.example", http.StatusOK},
	} {
		if status, text := request(t, c.url, c.host, ""); status != c.status {
			t.Errorf("%s as %q: want %d, got %d: %s", c.url, c.host, c.status, status, text)
		}
	}
}

const trace = "4bf92f3577b34da6a3ce929d0e0e4736"

// observed counts a delivery of a second.
func observed(r prometheus.Registerer, trace string) {
	began := time.Now()
	times := delay.Since(began)
	times.Until(delay.Handling, began.Add(time.Second))
	timing.NewMetrics(r).Of("ledger").Observe(&times, true, trace)
}

// The trace of a delivery is the exemplar of its bucket, for scrapers that ask for OpenMetrics.
func TestLatenciesHaveExemplars(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	observed(registry, trace)
	at := servingWith(t, registry)
	_, open := request(t, at+"/metrics", "", "application/openmetrics-text; version=1.0.0")
	for _, name := range []string{"composerp_delivery_seconds_bucket{queue=\"ledger\"", "composerp_delivery_stage_seconds_bucket{queue=\"ledger\",stage=\"handling\""} {
		found := false
		for line := range strings.Lines(open) {
			found = found || strings.HasPrefix(line, name) && strings.Contains(line, `# {trace_id="`+trace+`"} 1.0 `)
		}
		if !found {
			t.Errorf("no bucket of %s has the exemplar in\n%s", name, open)
		}
	}
	if _, plain := request(t, at+"/metrics", "", "text/plain"); strings.Contains(plain, trace) || !strings.Contains(plain, "composerp_delivery_seconds_count") {
		t.Errorf("the plain format has exemplars:\n%s", plain)
	}
}

// Native histograms are there when they are wanted, and the classic buckets always.
func TestNativeHistogramsAreAChoice(t *testing.T) {
	t.Parallel()
	for _, native := range []bool{false, true} {
		registry := prometheus.NewRegistry()
		var r prometheus.Registerer = registry
		if native {
			r = scrape.WithNative(registry)
		}
		observed(r, "")
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				checkBuckets(t, f.GetName(), m.GetHistogram(), native)
			}
		}
		if len(families) != 2 {
			t.Errorf("want two histograms, got %v", families)
		}
	}
}

func checkBuckets(t *testing.T, name string, h *dto.Histogram, native bool) {
	t.Helper()
	if h.Schema != nil != native {
		t.Errorf("%s: want native %v, got %v", name, native, h)
	}
	if len(h.GetBucket()) < 10 {
		t.Errorf("%s has %d classic buckets", name, len(h.GetBucket()))
	}
}
