// Package fleet has the commands that run the fleet or parts of it: up, down, relay and worker.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/publishing"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/deadletterlog"
	"github.com/composerp/composerp/workers/runtime/housekeeping"
	"github.com/composerp/composerp/workers/runtime/relay"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/scrape"
)

// fleet is the part of Composerp that runs in this process: ticker, relay
// and workers, each optional.
type fleet struct {
	at         settings.Endpoints
	broker     rabbitmq.Config
	relay      bool // the ticker and the watchdog go with it
	workers    []worker.Worker
	slots      map[string]int
	node       settings.Node
	version    string
	metrics    net.Listener
	with       []string // what the metrics' listener serves beside them
	log        *slog.Logger
	publishing *publishing.Metrics
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
	var err error
	if f.broker, err = settings.BrokerConfig(f.at, f.log); err != nil {
		return err
	}
	f.broker.Version = f.version
	registry := prometheus.NewRegistry()
	latencies := prometheus.Registerer(registry)
	if slices.Contains(f.with, settings.NativeHistograms) {
		latencies = scrape.WithNative(registry)
	}
	f.publishing = publishing.NewMetrics(registry)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	RegisterBuild(registry, f.version)
	g, ctx := errgroup.WithContext(ctx)
	var poke func() bool
	if f.relay {
		ticker, err := f.startRelay(ctx, g, latencies)
		if err != nil {
			return err
		}
		poke = ticker.Poke
		if err := f.startWatchdog(ctx, g, registry); err != nil {
			return err
		}
	}
	if err := f.startWorkers(ctx, g, latencies, poke); err != nil {
		return err
	}
	db, err := f.pool(ctx, registry, "health", 1)
	if err != nil {
		return err
	}
	health := newHealth(db, f.broker, Holder(), f.queues())
	defer health.close()
	f.serveMetrics(ctx, g, registry, health)
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// pool opens a pool of connections, whose metrics are served.
func (f *fleet) pool(ctx context.Context, registry prometheus.Registerer, name string, connections int) (*store.DB, error) {
	db, err := settings.OpenDatabase(ctx, f.at, name, connections)
	if err != nil {
		return nil, err
	}
	registry.MustRegister(store.Collector(db, name))
	return db, nil
}

// publishingAs is the broker for publishers of a kind.
func (f *fleet) publishingAs(kind string) rabbitmq.Config {
	broker := f.broker
	broker.Publishing = f.publishing.Of(kind)
	return broker
}

func (f *fleet) startRelay(ctx context.Context, g *errgroup.Group, registry prometheus.Registerer) (*eventlog.Ticker, error) {
	tickDB, err := f.pool(ctx, registry, "ticker", tickerConnections)
	if err != nil {
		return nil, err
	}
	// An error at the start that says what to do is better than a fleet that delivers nothing.
	if err := eventlog.CheckEpoch(ctx, tickDB); err != nil {
		tickDB.Close()
		return nil, err
	}
	relayDB, err := f.pool(ctx, registry, "relay", relayConnections)
	if err != nil {
		tickDB.Close()
		return nil, err
	}
	relay.RegisterLag(registry, relayDB)
	tickLog := f.log.With("part", "ticker")
	ticker := eventlog.NewTicker(tickDB, tickLog, housekeeping.Chores(tickDB, tickLog)...)
	r := &relay.Relay{DB: relayDB, Broker: f.publishingAs(publishing.Relay), Holder: Holder(), Hints: ticker.Hints(ctx, relayDB), Log: f.log.With("part", "relay"), Metrics: relay.NewMetrics(registry)}
	g.Go(func() error {
		defer tickDB.Close()
		store.Lead(ctx, tickDB, "ticker", Holder(), ticker.Run, func(err error) { f.log.Error("ticker does not lead for now", "error", err) })
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
	capacity, err := f.capacity()
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{URL: f.at.Database, Name: "composerp/workers", Connections: capacity + 2, Appended: appended})
	if err != nil {
		return err
	}
	registry.MustRegister(store.Collector(db, "workers"))
	metrics := worker.NewMetrics(registry)
	worker.RegisterFailures(registry, db)
	runners := make([]*worker.Runner, len(f.workers))
	for i, w := range f.workers {
		runners[i] = &worker.Runner{Worker: w, DB: db, Broker: f.publishingAs(publishing.Worker), Slots: f.slotsOf(w), Log: f.log, Metrics: metrics}
	}
	if err := f.startNode(ctx, g, registry, runners, capacity); err != nil {
		db.Close()
		return err
	}
	running, runningCtx := errgroup.WithContext(ctx)
	for _, r := range runners {
		if r.Worker.Queue() == topology.DeadLetterLog {
			old := deadletterlog.OldQueue{DB: db, Broker: f.broker, Log: f.log.With("worker", r.Worker.Name())}
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

// queues are those that the process's workers consume, with their retry and dead-letter queues.
func (f *fleet) queues() []topology.QueueSpec {
	subscriptions := make([]topology.Subscription, len(f.workers))
	for i, w := range f.workers {
		subscriptions[i] = w.Subscription()
	}
	return topology.Compute(subscriptions).Queues
}

func (f *fleet) slotsOf(w worker.Worker) int {
	if n := f.slots[w.Name()]; n > 0 {
		return n
	}
	return max(1, f.slots[""])
}

// Holder names this process in leases.
func Holder() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s#%d", host, os.Getpid())
}
