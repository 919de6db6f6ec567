// Package fleet has the commands that run the fleet or parts of it: up, down, relay and worker.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/page"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/publishing"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers/analytics/business"
	"github.com/composerp/composerp/workers/deadletterlog"
	"github.com/composerp/composerp/workers/runtime/housekeeping"
	"github.com/composerp/composerp/workers/runtime/relay"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/scrape"
	"github.com/composerp/composerp/workers/worker/spans"
)

// fleet is the part of Composerp that runs in this process: ticker, relay
// and workers, each optional.
type fleet struct {
	at         settings.Endpoints
	relay      bool // the ticker and the watchdog go with it
	workers    []worker.Worker
	slots      map[string]int
	node       offer
	version    string
	metrics    net.Listener
	with       []string // what the metrics' listener serves beside them
	log        *slog.Logger
	publishing *publishing.Metrics
	collector  spans.Config // without an endpoint, no spans are made
	spans      *spans.Recorder
	page       page.Config // who may open the page, and whose it is
	// ready is called once, when everything consumes.
	ready func()
}

const (
	tickerConnections = 4
	relayConnections  = 4
)

// run works until ctx is done and everything in hand is finished, or until
// an error occurs that waiting cannot resolve.
func (f *fleet) run(ctx context.Context) error {
	registry := prometheus.NewRegistry()
	latencies := prometheus.Registerer(registry)
	if slices.Contains(f.with, settings.NativeHistograms) {
		latencies = scrape.WithNative(registry)
	}
	f.publishing = publishing.NewMetrics(registry)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	RegisterBuild(registry, f.version)
	if f.collector.Endpoint != "" {
		var err error
		f.collector.Node, f.collector.Log = settings.Holder(), f.log.With("part", "spans")
		if f.spans, err = spans.New(ctx, f.collector); err != nil {
			return err
		}
		defer f.sendSpans()
	}
	g, ctx := errgroup.WithContext(ctx)
	var poke func() bool
	if f.relay {
		ticker, err := f.startRelay(ctx, g, latencies)
		if err != nil {
			return err
		}
		poke = ticker.Poke
		if err := f.startStream(ctx, g, registry); err != nil {
			return err
		}
		if err := f.startWatchdog(ctx, g, registry); err != nil {
			return err
		}
	}
	if err := f.startWorkers(ctx, g, latencies, poke); err != nil {
		return err
	}
	stopServing, err := f.serve(ctx, g, registry)
	if err != nil && ctx.Err() == nil {
		return err
	}
	defer stopServing()
	if err = g.Wait(); errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// serve serves the metrics, the health and the page until ctx is done, which it may be already: workers run by now.
// stop closes what they use.
func (f *fleet) serve(ctx context.Context, g *errgroup.Group, registry *prometheus.Registry) (stop func(), err error) {
	stop = func() {}
	db, err := f.pool(ctx, registry, f.role(), "health", 1)
	if err != nil {
		return stop, err
	}
	broker, err := f.declaring()
	if err != nil {
		db.Close()
		return stop, err
	}
	health := newHealth(db, broker, settings.Holder(), f.queues())
	shown, err := f.newPage(ctx, registry)
	if err != nil {
		health.close()
		return stop, err
	}
	f.serveMetrics(ctx, g, registry, health, shown)
	return func() { shown.Close(); health.close() }, nil
}

// broker is the broker for a part of the fleet.
func (f *fleet) broker(r roles.Role) (rabbitmq.Config, error) {
	config, err := settings.BrokerConfig(f.at.As(r), f.log)
	config.Version = f.version
	return config, err
}

// declaring is the broker for what declares and asks. A process without that role's secret asks as one of its workers,
// which may not declare.
func (f *fleet) declaring() (rabbitmq.Config, error) {
	if name := f.asks(); name != "" {
		return f.broker(roles.Worker(name))
	}
	return f.broker(roles.Topology)
}

// asks is the worker as which the process declares and asks, "" where it has the role for that.
func (f *fleet) asks() string {
	if len(f.at.Secrets) == 0 || f.at.Has(roles.Topology) || len(f.workers) == 0 {
		return ""
	}
	return f.workers[0].Name()
}

// role is the one in the database that the process has in any case.
func (f *fleet) role() grants.Role {
	if f.relay {
		return grants.Relay
	}
	return grants.Worker
}

// newPage makes the page that is served beside the metrics. It only reads.
func (f *fleet) newPage(ctx context.Context, registry prometheus.Registerer) (*page.Page, error) {
	broker, err := f.declaring()
	if err != nil {
		return nil, err
	}
	role := f.role()
	if f.at.HasRole(grants.Reader) {
		role = grants.Reader
	}
	db, err := f.pool(ctx, registry, role, "page", page.Connections)
	if err != nil {
		return nil, err
	}
	cfg := f.page
	cfg.DB, cfg.At, cfg.Broker, cfg.Address = db, f.at, broker, f.metrics.Addr()
	cfg.Plan = PlanOf()
	cfg.Broker.Name, cfg.Version, cfg.Log = "page", f.version, f.log.With("part", "page")
	return page.New(cfg), nil
}

// pool opens a pool of connections, whose metrics are served.
func (f *fleet) pool(ctx context.Context, registry prometheus.Registerer, role grants.Role, name string, connections int) (*store.DB, error) {
	db, err := settings.OpenDatabase(ctx, f.at.AsRole(role), name, connections)
	if err != nil {
		return nil, err
	}
	registry.MustRegister(store.Collector(db, name))
	return db, nil
}

// publishingAs is the broker for a part of the fleet whose publishers are of a kind.
func (f *fleet) publishingAs(r roles.Role, kind string) (rabbitmq.Config, error) {
	broker, err := f.broker(r)
	broker.Publishing = f.publishing.Of(kind)
	return broker, err
}

func (f *fleet) startRelay(ctx context.Context, g *errgroup.Group, registry prometheus.Registerer) (*eventlog.Ticker, error) {
	broker, err := f.publishingAs(roles.Relay, publishing.Relay)
	if err != nil {
		return nil, err
	}
	tickDB, err := f.pool(ctx, registry, grants.Relay, "ticker", tickerConnections)
	if err != nil {
		return nil, err
	}
	// An error at the start that says what to do is better than a fleet that delivers nothing.
	if err := eventlog.CheckEpoch(ctx, tickDB); err != nil {
		tickDB.Close()
		return nil, err
	}
	relayDB, err := f.pool(ctx, registry, grants.Relay, "relay", relayConnections)
	if err != nil {
		tickDB.Close()
		return nil, err
	}
	relay.RegisterLag(registry, relayDB)
	tickLog := f.log.With("part", "ticker")
	ticker := eventlog.NewTicker(tickDB, tickLog, append(housekeeping.Chores(tickDB, tickLog), business.New(registry, tickDB, tickLog).Chore)...)
	r := &relay.Relay{DB: relayDB, Broker: broker, Holder: settings.Holder(), Hints: ticker.Hints(ctx, relayDB), Log: f.log.With("part", "relay"), Metrics: relay.NewMetrics(registry), Spans: f.spans}
	g.Go(func() error {
		defer tickDB.Close()
		store.Lead(ctx, tickDB, "ticker", settings.Holder(), ticker.Run, func(err error) { f.log.Error("ticker does not lead for now", "error", err) })
		return nil
	})
	g.Go(func() error {
		defer relayDB.Close()
		return r.Run(ctx)
	})
	return ticker, nil
}

func (f *fleet) startWorkers(ctx context.Context, g *errgroup.Group, registry prometheus.Registerer, appended func() bool) error {
	if len(f.workers) == 0 {
		return nil
	}
	capacity, err := f.mostSlots()
	if err != nil {
		return err
	}
	declaring, err := f.declaring()
	if err != nil {
		return err
	}
	brokers := make([]rabbitmq.Config, len(f.workers))
	for i, w := range f.workers {
		if brokers[i], err = f.publishingAs(roles.Worker(w.Name()), publishing.Worker); err != nil {
			return err
		}
	}
	db, err := settings.OpenAppending(ctx, f.at.AsRole(grants.Worker), "workers", capacity+2, appended)
	if err != nil {
		return err
	}
	registry.MustRegister(store.Collector(db, "workers"))
	metrics := worker.NewMetrics(registry)
	RegisterFailures(registry, db)
	runners := make([]*worker.Runner, len(f.workers))
	for i, w := range f.workers {
		registry.MustRegister(w.Collectors()...)
		runners[i] = &worker.Runner{Worker: w, DB: db, Broker: brokers[i], Slots: f.slotsOf(w), Log: f.log, Metrics: metrics, Spans: f.spans}
	}
	if err := f.startNode(ctx, g, registry, runners, capacity, declaring); err != nil {
		db.Close()
		return err
	}
	running, runningCtx := errgroup.WithContext(ctx)
	for _, r := range runners {
		if r.Worker.Queue() == topology.DeadLetterLog {
			old := deadletterlog.OldQueue{DB: db, Broker: declaring, Log: f.log.With("worker", r.Worker.Name())}
			running.Go(func() error { old.Run(runningCtx); return nil })
		}
		running.Go(func() error {
			if err := r.Run(runningCtx); err != nil {
				return fmt.Errorf("running worker %s: %w", r.Worker.Name(), err)
			}
			return nil
		})
	}
	g.Go(func() error { defer db.Close(); return running.Wait() })
	return nil
}

// queues are those that the process's workers consume, with their retry and dead-letter queues. RabbitMQ 4.3 tells a
// worker of its own queues alone.
func (f *fleet) queues() []topology.QueueSpec {
	subscriptions := make([]topology.Subscription, len(f.workers))
	for i, w := range f.workers {
		subscriptions[i] = w.Subscription()
	}
	all := topology.Compute(subscriptions).Queues
	if name := f.asks(); name != "" {
		return slices.DeleteFunc(all, func(q topology.QueueSpec) bool { return topology.WorkerOf(q.Name) != name })
	}
	return all
}

func (f *fleet) slotsOf(w worker.Worker) int {
	if n := f.slots[w.Name()]; n > 0 {
		return n
	}
	return max(1, f.slots[""])
}
