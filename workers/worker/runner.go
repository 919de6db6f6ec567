package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers/worker/permits"
	"github.com/composerp/composerp/workers/worker/spans"
	"github.com/composerp/composerp/workers/worker/timing"
)

// Runner runs one worker in this process. Worker, DB and Broker are needed.
type Runner struct {
	Worker Worker
	DB     *store.DB // at least one connection a slot
	Broker rabbitmq.Config
	// Slots is how many consumers there are until Scale says otherwise; 0 means 1.
	Slots int
	// Node names this process in consumer tags; empty means the host's name.
	Node    string
	Log     *slog.Logger
	Metrics *Metrics
	// Spans, if set, tell a collector of each attempt to handle an event.
	Spans *spans.Recorder
	// Started, if set, is called whenever a slot has begun to consume.
	Started func()
	// Ended, if set, is called whenever a slot has ceased to consume.
	Ended func()

	processor processor
	consumers atomic.Int64

	target        target
	running, busy atomic.Int64
	seq           atomic.Int64
	works         works
	locks         timing.Locks
	delays        *timing.Queue

	laneSlots atomic.Int64    // of running, those that share the lanes
	divided   atomic.Bool     // no slot runs but these
	permits   permits.Permits // of lanes to handle a batch
	due       atomic.Bool     // without lanes: there may be parked events whose turn has come
}

// drainTime is how long a batch in hand may take once the process stops.
const drainTime = 20 * time.Second

const publishWindow = 256

// Run consumes until ctx is done, through every loss of broker and database; then
// it finishes the batches in hand and returns nil. It returns an error only for a
// fault that waiting does not repair: a wrong password, a schema that does not fit.
func (r *Runner) Run(ctx context.Context) error {
	r.defaults()
	if err := r.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	cfg := r.Broker
	cfg.Name, cfg.Log = r.Worker.name, r.Log
	// A worker publishes copies of messages that the broker has taken before, whatever their size.
	cfg.MaxBody = math.MaxInt32
	timing := make(chan struct{})
	timerCtx, stopTimer := context.WithCancel(ctx)
	if r.Worker.emitsTwoVersions() {
		go r.processor.versions.Run(timerCtx, r.DB)
	}
	go func() { defer close(timing); r.runTimer(timerCtx) }()
	err := rabbitmq.KeepConnected(ctx, cfg, r.consume)
	stopTimer()
	<-timing
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (r *Runner) defaults() {
	if r.Slots <= 0 {
		r.Slots = 1
	}
	if r.Node == "" {
		r.Node, _ = os.Hostname()
	}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	r.Log = r.Log.With("worker", r.Worker.name)
	if r.Metrics == nil {
		r.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	r.Metrics.precreate(r.Worker.name)
	r.delays = r.Metrics.delays.Of(r.Worker.name)
}

const logAwaitDatabase = "waiting for the database"

// prepare registers the worker, waiting for the database if need be.
func (r *Runner) prepare(ctx context.Context) error {
	waits := clock.Seldom{}
	for backoff := newBackoff(); ; {
		consumer, err := r.Worker.register(ctx, r.DB)
		if err == nil {
			r.processor = processor{worker: r.Worker, db: r.DB, consumer: consumer, bounds: new(eventlog.Bounds), spans: r.Spans, versions: new(versions.Watch)}
			return nil
		}
		if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrRetryable) {
			return err
		}
		if waits.Due() {
			r.Log.Warn(logAwaitDatabase, "error", err)
		}
		if !backoff.wait(ctx) {
			return err
		}
	}
}

// tag names a consumer in the management UI. It is never used twice, so that the
// broker does not confuse a new consumer with one that it is still removing.
func (r *Runner) tag(slot int) string {
	return fmt.Sprintf("%s.%s.%d.%d", r.Worker.name, r.Node, slot, r.consumers.Add(1))
}
