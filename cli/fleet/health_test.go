package fleet

import (
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
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// /healthz names what is away, refused or frozen, and is well again when it is back; /livez tells of the process alone.
func TestHealthTellsWhichServerIsAway(t *testing.T) {
	t.Parallel()
	broker := rabbitmqtest.Vhost(t)
	database, exchange := workertest.NewLink(t, storetest.URL(t)), workertest.NewLink(t, broker.URLs[0])
	broker.URLs = []string{exchange.URL}
	h := newHealth(storetest.Open(t, database.URL, 1), broker, "here", nil)
	t.Cleanup(h.close)
	at := serving(t, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), h)
	ask := func(path string) (int, string) { return asked(t, at, path) }
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

// serving serves metrics and health on a free port until the test ends, and gives the address.
func serving(t *testing.T, log *slog.Logger, registry *prometheus.Registry, h *health) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, ctx := errgroup.WithContext(t.Context())
	(&fleet{metrics: listener, log: log}).serveMetrics(ctx, g, registry, h, nil)
	return "http://" + listener.Addr().String()
}

// asked is the status and the text at a path.
func asked(t *testing.T, at, path string) (int, string) {
	t.Helper()
	return request(t, at+path, "", "")
}

// /readyz names what keeps the process from its work: a queue that is missing, a migration, a drain, a server that is
// away.
func TestReadinessTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	broker, url := rabbitmqtest.Vhost(t), storetest.URL(t)
	want := topology.Compute([]topology.Subscription{{Worker: "ledger", RoutingKeys: []string{"integration.sale_completed"}}})
	apply := func() {
		t.Helper()
		if err := rabbitmq.Apply(t.Context(), want, broker); err != nil {
			t.Fatal(err)
		}
	}
	apply()
	database := workertest.NewLink(t, url)
	h := newHealth(storetest.Open(t, database.URL, 1), broker, "here", want.Queues)
	t.Cleanup(h.close)
	at := serving(t, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), h)
	says := func(what string, status int, text string) {
		t.Helper()
		localtest.Eventually(t, time.Minute, what, func() bool {
			got, lines := asked(t, at, "/readyz")
			return got == status && strings.HasPrefix(lines, text) && strings.Count(lines, "\n") == 1
		})
	}
	says("all is there", http.StatusOK, "ok")
	rabbitmqtest.DeleteQueue(t, broker, "composerp.ledger")
	says("a queue is missing", http.StatusServiceUnavailable, "topology: composerp.ledger is missing; composerp topology apply")
	apply()
	says("it is there again", http.StatusOK, "ok")
	storetest.Exec(t, url, `INSERT INTO worker_node (id, term, host, pid, version, capacity, labels, queues, flag_slots, draining, lease_until)
		VALUES ('here', 1, 'h', 1, 'v', 1, '{}', '{}', '{}', true, now())`)
	says("the node drains", http.StatusServiceUnavailable, "node: it drains; composerp worker drain --undo here")
	storetest.Exec(t, url, `UPDATE worker_node SET draining = false`)
	says("it drains no more", http.StatusOK, "ok")
	storetest.Exec(t, url, `CREATE TABLE kept AS SELECT * FROM goose_db_version ORDER BY id DESC LIMIT 1; DELETE FROM goose_db_version WHERE id = (SELECT id FROM kept)`)
	says("a migration is missing", http.StatusServiceUnavailable, "schema: ")
	storetest.Exec(t, url, `INSERT INTO goose_db_version OVERRIDING SYSTEM VALUE SELECT * FROM kept`)
	says("it is applied", http.StatusOK, "ok")
	database.Set(proxy.Weather{Refuse: true})
	database.Cut()
	says("the database is away", http.StatusServiceUnavailable, "database: ")
}
