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
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/deploy/chaos/proxy"
	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// /healthz names what is away, refused or frozen, and is well again when it is back; /livez tells of the process alone.
func TestHealthTellsWhichServerIsAway(t *testing.T) {
	t.Parallel()
	broker := rabbitmqtest.Vhost(t)
	database, exchange := workertest.NewLink(t, storetest.URL(t)), workertest.NewLink(t, broker.URLs[0])
	broker.URLs = []string{exchange.URL}
	h := newHealth(storetest.Open(t, database.URL, 1), broker)
	t.Cleanup(h.close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, ctx := errgroup.WithContext(t.Context())
	(&fleet{metrics: listener, log: slog.New(slog.DiscardHandler)}).serveMetrics(ctx, g, prometheus.NewRegistry(), h)
	ask := func(path string) (int, string) {
		response, err := http.Get("http://" + listener.Addr().String() + path)
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
	for _, c := range []struct {
		name             string
		database, broker proxy.Weather
		status           int
		lines            []string
	}{
		{"both answer", proxy.Weather{}, proxy.Weather{}, http.StatusOK, []string{"ok"}},
		{"the database refuses", proxy.Weather{Refuse: true}, proxy.Weather{}, http.StatusServiceUnavailable, []string{"database: "}},
		{"both refuse", proxy.Weather{Refuse: true}, proxy.Weather{Refuse: true}, http.StatusServiceUnavailable, []string{"database: ", "broker: "}},
		{"the broker refuses", proxy.Weather{}, proxy.Weather{Refuse: true}, http.StatusServiceUnavailable, []string{"broker: "}},
		{"both are back", proxy.Weather{}, proxy.Weather{}, http.StatusOK, []string{"ok"}},
		{"the broker hangs", proxy.Weather{}, proxy.Weather{HoldUp: true}, http.StatusServiceUnavailable, []string{"broker: "}},
		{"the database hangs too", proxy.Weather{HoldUp: true}, proxy.Weather{HoldUp: true}, http.StatusServiceUnavailable, []string{"database: ", "broker: "}},
		{"both answer again", proxy.Weather{}, proxy.Weather{}, http.StatusOK, []string{"ok"}},
	} {
		for link, weather := range map[*workertest.Link]proxy.Weather{database: c.database, exchange: c.broker} {
			link.Set(weather)
			if weather.Refuse {
				link.Cut()
			}
		}
		localtest.Eventually(t, time.Minute, c.name, func() bool {
			status, text := ask("/healthz")
			if status != c.status || strings.Count(text, "\n") != len(c.lines) {
				return false
			}
			for _, line := range c.lines {
				if !strings.Contains(text, line) {
					return false
				}
			}
			return true
		})
		if status, text := ask("/livez"); status != http.StatusOK || text != "ok\n" {
			t.Errorf("%s: the process says %d %s", c.name, status, text)
		}
	}
}
