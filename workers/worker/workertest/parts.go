package workertest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/housekeeping"
	"github.com/composerp/composerp/workers/runtime/relay"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest/logs"
)

// Part is a part of the fleet that runs beside the test, until End or the end of the test.
type Part struct {
	testing.TB
	Logs    *logs.Kept
	Metrics *prometheus.Registry

	name string
	stop context.CancelFunc
	done chan struct{}
	err  error // once done is closed
}

// endTime is how long a part may take to end: longer than a worker's drain time.
const endTime = 30 * time.Second

// Start runs a part.
func (env *Env) Start(name string, run func(ctx context.Context, p *Part) error) *Part {
	env.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &Part{TB: env, Logs: &logs.Kept{}, Metrics: prometheus.NewRegistry(), name: name, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = run(ctx, p)
	}()
	env.Cleanup(p.End)
	return p
}

// Stop tells the part to end and does not wait for it.
func (p *Part) Stop() { p.stop() }

// End stops the part and waits until it has ended; it may be called twice.
func (p *Part) End() {
	p.Helper()
	p.stop()
	select {
	case <-p.done:
		if p.err != nil {
			p.Errorf("the %s ended with %v. Its log:\n%s", p.name, p.err, p.Logs)
			p.err = nil
		}
	case <-time.After(endTime):
		p.Errorf("the %s does not end within %v", p.name, endTime)
	}
}

// Metric reads a metric of the part: see the function Metric.
func (p *Part) Metric(name string, labels ...string) float64 {
	p.Helper()
	return Metric(p, p.Metrics, name, labels...)
}

// Messages is how many messages a worker has brought to an outcome.
func (p *Part) Messages(outcome string) int {
	p.Helper()
	return int(p.Metric("composerp_worker_messages_total", "outcome", outcome))
}

// RunWorker starts a worker and waits until all of its slots consume.
func (env *Env) RunWorker(w worker.Worker, slots int) *Part {
	env.Helper()
	p := env.StartWorker(w, slots)
	env.Eventually("every slot of "+w.Name()+" consumes", func() bool {
		return p.Metric("composerp_worker_slots", "worker", w.Name()) == float64(slots)
	})
	return p
}

// StartWorker starts a worker.
func (env *Env) StartWorker(w worker.Worker, slots int) *Part {
	env.Helper()
	runner := worker.Runner{Worker: w, DB: env.DB, Broker: env.Broker, Slots: slots, Node: "test"}
	runner.Broker.Backoff, runner.Broker.MaxBackoff = 10*time.Millisecond, 200*time.Millisecond
	return env.Start("worker "+w.Name(), func(ctx context.Context, p *Part) error {
		runner.Log, runner.Metrics = p.Logs.Logger(), worker.NewMetrics(p.Metrics)
		return runner.Run(ctx)
	})
}

const logTickerFailed = "the ticker failed"

// StartTicker starts a ticker with its housekeeping. It makes the events of the log visible to the relay.
func (env *Env) StartTicker() *Part {
	env.Helper()
	db := env.DB
	return env.Start("ticker", func(ctx context.Context, p *Part) error {
		log := p.Logs.Logger()
		ticker := eventlog.NewTicker(db, log, housekeeping.Chores(db, log)...)
		store.Lead(ctx, db, "ticker", "test", ticker.Run, func(err error) { log.Error(logTickerFailed, "error", err) })
		return nil
	})
}

// StartRelay starts a relay. It publishes the events that a tick has passed.
func (env *Env) StartRelay() *Part {
	env.Helper()
	r := relay.Relay{DB: env.DB, Broker: env.Broker, Holder: "test"}
	return env.Start("relay", func(ctx context.Context, p *Part) error {
		r.Log, r.Metrics = p.Logs.Logger(), relay.NewMetrics(p.Metrics)
		return r.Run(ctx)
	})
}

// fleetConnections are what ticker and relay of a fleet need.
const fleetConnections = 8

// StartFleet starts ticker, relay and the workers, and waits until every worker consumes. The function that it gives
// ends all of them, and closes their pool.
func (env *Env) StartFleet(workers ...worker.Worker) (end func()) {
	env.Helper()
	// A pool of its own: the parts must not wait for the test's queries, nor these for them.
	db := storetest.Open(env, env.URL, 2*len(workers)+fleetConnections)
	fleet := &Env{Env: &storetest.Env{TB: env.TB, DB: db, URL: env.URL}, Broker: env.Broker}
	parts := []*Part{fleet.StartTicker(), fleet.StartRelay()}
	for _, w := range workers {
		parts = append(parts, fleet.StartWorker(w, 1))
	}
	for i, w := range workers {
		env.Eventually("worker "+w.Name()+" consumes", func() bool {
			return parts[i+2].Metric("composerp_worker_slots", "worker", w.Name()) == 1
		})
	}
	return sync.OnceFunc(func() {
		for _, p := range parts {
			p.Stop()
		}
		for _, p := range parts {
			p.End()
		}
		if parts[0].Logs.Has(logTickerFailed) {
			env.Errorf("the ticker failed. Its log:\n%s", parts[0].Logs)
		}
		db.Close()
	})
}
