package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/workers/runtime/housekeeping"
	"github.com/composerp/composerp/workers/runtime/relay"
	"github.com/composerp/composerp/workers/worker"
)

var noLog = slog.New(slog.DiscardHandler)

// fleet is Composerp as `composerp up` runs it, with one worker or all: ticker, relay and the workers' runners, with
// pools of their own.
type fleet struct {
	environment *environment
	registry    counted
	sender      *store.DB // commits the sales, as a process of its own would
	applied     func()    // called after each commit of a worker that appended to the log
	pools       []*store.DB
}

// withFleet runs a fleet for as long as measure does, which begins once its workers consume.
func withFleet[T any](
	ctx context.Context, env *environment, ws []worker.Worker, applied func(), subscriptions []topology.Subscription,
	measure func(context.Context, *fleet) (T, error),
) (measured T, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	f, err := env.start(ctx, g, ws, applied, subscriptions)
	if err == nil {
		measured, err = measure(ctx, f)
	}
	stop()
	err = errors.Join(err, g.Wait())
	f.close()
	return measured, err
}

// start runs the fleet in the group until ctx ends, and returns once its workers consume. The fleet must be closed
// after an error too.
func (env *environment) start(ctx context.Context, g *errgroup.Group, ws []worker.Worker, applied func(), subscriptions []topology.Subscription) (*fleet, error) {
	f := &fleet{environment: env, registry: counted{prometheus.NewRegistry(), prometheus.NewRegistry()}, applied: applied}
	for _, w := range ws {
		subscriptions = append(subscriptions, w.Subscription())
	}
	topology := topology.Compute(subscriptions)
	if err := rabbitmq.Apply(ctx, topology, env.broker); err != nil {
		return f, err
	}
	var err error
	if f.sender, err = f.pool(ctx, "sender", 2, nil); err != nil {
		return f, err
	}
	poke, err := f.startRelay(ctx, g)
	if err != nil {
		return f, err
	}
	return f, f.startWorkers(ctx, g, ws, poke)
}

func (f *fleet) pool(ctx context.Context, name string, connections int, appended func() bool) (*store.DB, error) {
	db, err := store.Open(ctx, store.Config{URL: f.environment.databaseURL, Name: "composerp/" + name, Connections: connections, Appended: appended})
	if err != nil {
		return nil, err
	}
	f.pools = append(f.pools, db)
	return db, nil
}

// startRelay starts ticker and relay and gives the function that pokes the ticker.
func (f *fleet) startRelay(ctx context.Context, g *errgroup.Group) (poke func() bool, err error) {
	ticking, err := f.pool(ctx, "ticker", 3, nil)
	if err != nil {
		return nil, err
	}
	relaying, err := f.pool(ctx, "relay", 3, nil)
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	report := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	ticker := eventlog.NewTicker(ticking, noLog, housekeeping.Chores(ticking, noLog)...)
	g.Go(func() error { store.Lead(ctx, ticking, "ticker", "bench", ticker.Run, report); return nil })
	g.Go(func() error {
		select {
		case err := <-failed:
			return stopped(ctx, fmt.Errorf("the ticker: %w", err))
		case <-ctx.Done():
			return nil
		}
	})
	r := relay.Relay{
		DB: relaying, Broker: f.environment.broker, Holder: "bench", Hints: ticker.Hints(ctx, relaying), Log: noLog, Metrics: relay.NewMetrics(f.registry),
	}
	g.Go(func() error { return r.Run(ctx) })
	return ticker.Poke, nil
}

func (f *fleet) startWorkers(ctx context.Context, g *errgroup.Group, ws []worker.Worker, poke func() bool) error {
	// The workers share the process with the ticker, as in `composerp up`: their events poke it.
	db, err := f.pool(ctx, "workers", len(ws)+2, func() bool {
		leads := poke()
		if f.applied != nil {
			f.applied()
		}
		return leads
	})
	if err != nil {
		return err
	}
	started := make(chan struct{}, 16*len(ws))
	metrics := worker.NewMetrics(f.registry)
	for _, w := range ws {
		runner := worker.Runner{
			Worker: w, DB: db, Broker: f.environment.broker, Node: "bench", Log: noLog, Metrics: metrics,
			Started: func() { started <- struct{}{} },
		}
		g.Go(func() error { return runner.Run(ctx) })
	}
	for range ws {
		select {
		case <-started:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the workers to consume: %w", context.Cause(ctx))
		}
	}
	return nil
}

// close closes the pools. The fleet must have stopped.
func (f *fleet) close() {
	for _, db := range f.pools {
		_ = db.Close()
	}
}

// admit commits sales to the log, all in one transaction.
func (f *fleet) admit(ctx context.Context, sales []event.Any) error {
	return f.sender.InTx(ctx, func(tx store.Tx) error {
		for part := range slices.Chunk(sales, 1000) {
			verdicts, err := eventlog.Admit(ctx, tx, part, true)
			if err != nil {
				return err
			}
			for i, v := range verdicts {
				if v != eventlog.Admitted {
					return fmt.Errorf("sale %s is a %s", part[i].ID, v)
				}
			}
		}
		return nil
	})
}

// pollInterval is how often the counters are read: often enough for a run of a second, seldom enough not to slow it
// down.
const pollInterval = 5 * time.Millisecond

// await waits until the worker has committed a number of events and the broker has confirmed a number.
func (f *fleet) await(ctx context.Context, handled, confirmed int) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		c, err := f.counts()
		if err != nil {
			return err
		}
		switch {
		case c.failed > 0:
			return fmt.Errorf("%d messages failed", c.failed)
		case c.handled >= handled && c.confirmed >= confirmed:
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("handled %d of %d, confirmed %d of %d: %w", c.handled, handled, c.confirmed, confirmed, context.Cause(ctx))
		}
	}
}

// counts are the fleet's own counters, as Prometheus would read them.
type counts struct {
	handled, failed, confirmed int
	by                         map[string]int // handled, by worker
	batches, messages          float64
	handling, confirming       mean // seconds: of a batch in a worker, of a page at the broker
}

// mean is what a histogram knows of its values.
type mean struct{ sum, count float64 }

func (m *mean) add(h *dto.Histogram) {
	m.sum, m.count = m.sum+h.GetSampleSum(), m.count+float64(h.GetSampleCount())
}

func (m mean) milliseconds() float64 { return 1000 * ratio(m.sum, m.count) }

var errNoMetric = errors.New("the fleet lacks a metric that the bench reads")

// counted registers metrics, and once more apart from the others those that counts reads: reading all of them, again
// and again, would cost what hundreds of events do.
type counted struct {
	prometheus.Registerer
	few *prometheus.Registry
}

// MustRegister implements prometheus.Registerer.
func (c counted) MustRegister(collectors ...prometheus.Collector) {
	c.Registerer.MustRegister(collectors...)
	for _, collector := range collectors {
		described := make(chan *prometheus.Desc, 100)
		collector.Describe(described)
		close(described)
		for d := range described {
			if slices.ContainsFunc(countedNames, func(name string) bool { return strings.Contains(d.String(), `fqName: "`+name+`"`) }) {
				c.few.MustRegister(collector)
				break
			}
		}
	}
}

const (
	messagesHandled = "composerp_worker_messages_total"
	eventsConfirmed = "composerp_relay_confirmed_total"
	batchSize       = "composerp_worker_batch_size"
	batchSeconds    = "composerp_worker_batch_seconds"
	confirmSeconds  = "composerp_relay_confirm_seconds"
)

var countedNames = []string{messagesHandled, eventsConfirmed, batchSize, batchSeconds, confirmSeconds}

func (f *fleet) counts() (counts, error) {
	families, err := f.registry.few.Gather()
	if err != nil {
		return counts{}, fmt.Errorf("reading the counters: %w", err)
	}
	c := counts{by: map[string]int{}}
	seen := 0
	var sizes mean
	for _, family := range families {
		switch family.GetName() {
		case messagesHandled:
			seen++
			for _, m := range family.GetMetric() {
				switch label(m, "outcome") {
				case "handled":
					c.handled += int(m.GetCounter().GetValue())
					c.by[label(m, "worker")] = int(m.GetCounter().GetValue())
				case "retried", "deferred", "quarantined", "dead":
					c.failed += int(m.GetCounter().GetValue())
				}
			}
		case eventsConfirmed:
			seen++
			c.confirmed = int(family.GetMetric()[0].GetCounter().GetValue())
		case batchSize:
			seen++
			for _, m := range family.GetMetric() {
				sizes.add(m.GetHistogram())
			}
		case batchSeconds:
			seen++
			for _, m := range family.GetMetric() {
				c.handling.add(m.GetHistogram())
			}
		case confirmSeconds:
			seen++
			c.confirming.add(family.GetMetric()[0].GetHistogram())
		}
	}
	c.batches, c.messages = sizes.count, sizes.sum
	if seen != len(countedNames) {
		return c, errNoMetric
	}
	return c, nil
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
