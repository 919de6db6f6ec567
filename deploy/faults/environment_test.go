package faults_test

import (
	"context"
	"database/sql"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/audit"
	"github.com/composerp/composerp/workers/runtime/housekeeping"
	"github.com/composerp/composerp/workers/runtime/relay"
	"github.com/composerp/composerp/workers/worker"
)

// endpoints are the addresses of an environment's servers: for the fleet, and for the test itself.
type endpoints struct {
	fleetDatabase string
	fleetExchange []string
	database      string
	exchange      []string
	management    string
}

// environment is a fleet in this process, its publishers, and connections that observe it.
type environment struct {
	*testing.T
	endpoints
	db         *store.DB // around what is broken
	look       *sql.DB
	management *management.Client
	registry   *prometheus.Registry
	log        *logbook
	probes     int

	workers []worker.Worker // that run
	stop    context.CancelFunc
	ended   chan struct{}
	publishers
}

// heartbeat is short, so that silence is noticed while a test waits.
const heartbeat = 2 * time.Second

// newEnvironment makes schema and topology. Nothing runs yet.
func newEnvironment(t *testing.T, g endpoints) *environment {
	t.Helper()
	h := &environment{T: t, endpoints: g, log: &logbook{}, registry: prometheus.NewRegistry()}
	var err error
	h.db, err = store.Open(t.Context(), store.Config{URL: g.database, Name: "outside", Connections: 4})
	h.must(err)
	t.Cleanup(func() { h.db.Close() })
	_, err = store.Migrate(t.Context(), h.db)
	h.must(err)
	h.look, err = sql.Open("postgres", g.database)
	h.must(err)
	t.Cleanup(func() { h.look.Close() })
	h.management, err = management.New(g.management)
	h.must(err)
	h.apply()
	return h
}

func (h *environment) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *environment) apply() {
	h.Helper()
	h.must(rabbitmq.Apply(h.Context(), workers.Topology(), h.outside("apply")))
}

// outside is the configuration of a connection that is not the fleet's.
func (h *environment) outside(name string) rabbitmq.Config {
	return rabbitmq.Config{URLs: h.exchange, Name: name, Heartbeat: heartbeat, MaxBackoff: time.Second, Log: slog.New(slog.DiscardHandler)}
}

// fleet is every worker.
func (h *environment) fleet() []worker.Worker {
	return workers.Fleet(workers.Config{Log: slog.New(h.log)})
}

// run runs ticker, relay and these workers, as `composerp up` does, until halt or the end of the test, and returns when
// all of them consume.
func (h *environment) run(ws ...worker.Worker) {
	h.Helper()
	h.workers = ws
	ctx, stop := context.WithCancel(context.Background())
	h.registry = prometheus.NewRegistry()
	h.stop, h.ended = stop, make(chan struct{})
	log := slog.New(h.log)
	broker := rabbitmq.Config{URLs: h.fleetExchange, Heartbeat: heartbeat, Log: log}
	poke, relaying := h.startRelay(ctx, broker, log)
	db := h.pool("composerp/workers", len(ws)+2, poke)
	metrics := worker.NewMetrics(h.registry)
	ends := []func(){relaying}
	for _, w := range ws {
		r := &worker.Runner{Worker: w, DB: db, Broker: broker, Node: "faults", Log: log, Metrics: metrics}
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		ends = append(ends, func() {
			if err := <-done; err != nil {
				h.Errorf("worker %s ended with %v", w.Name(), err)
			}
		})
	}
	go func() {
		defer close(h.ended)
		for _, end := range ends {
			end()
		}
		db.Close()
	}()
	h.Cleanup(h.halt)
	h.soon(20*time.Second, "all slots consume", h.whole)
}

func (h *environment) startRelay(ctx context.Context, broker rabbitmq.Config, log *slog.Logger) (poke func() bool, wait func()) {
	h.Helper()
	ticking, reading := h.pool("composerp/ticker", 4, nil), h.pool("composerp/relay", 4, nil)
	ticker := eventlog.NewTicker(ticking, log, housekeeping.Chores(ticking, log)...)
	r := &relay.Relay{DB: reading, Broker: broker, Holder: "faults", Hints: ticker.Hints(ctx, reading), Log: log, Metrics: relay.NewMetrics(h.registry)}
	ticked, relayed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ticked)
		store.Lead(ctx, ticking, "ticker", "faults", ticker.Run, func(err error) { log.Error("ticker does not lead for now", "error", err) })
	}()
	go func() { defer close(relayed); _ = r.Run(ctx) }()
	return ticker.Poke, func() {
		<-ticked
		<-relayed
		ticking.Close()
		reading.Close()
	}
}

func (h *environment) pool(name string, connections int, appended func() bool) *store.DB {
	h.Helper()
	db, err := store.Open(h.Context(), store.Config{URL: h.fleetDatabase, Name: name, Connections: connections, Appended: appended})
	h.must(err)
	return db
}

// shutdown is how long the fleet may take to end: what is in hand is given 20 s, goodbyes 5 s.
const shutdown = 27 * time.Second

// halt ends the fleet as SIGTERM does. A second one does nothing.
func (h *environment) halt() {
	h.stop()
	select {
	case <-h.ended:
	case <-time.After(localtest.Deadline(shutdown)):
		h.Error(localtest.Late(shutdown, "the fleet ends"))
	}
}

// rest stops the publishers, waits until the queues are empty, runs the audit and returns its report.
func (h *environment) rest(want audit.Verdict) audit.Report {
	h.Helper()
	h.hush()
	report, err := audit.Run(h.Context(), audit.Config{
		DB: h.db, Broker: h.outside("audit"), Management: h.management, Topology: workers.Topology(), Wait: time.Minute, Settle: 2500 * time.Millisecond,
	})
	h.must(err)
	if report.Verdict != want {
		h.Errorf("the audit comes to %q, want %q:\n%s", report.Verdict, want, report.Table())
	}
	return report
}
