package worker

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/parking"
	"github.com/composerp/composerp/workers/worker/scrape"
	"github.com/composerp/composerp/workers/worker/timing"
)

// Outcomes of a message, the metric's labels: those of an attempt that succeeded
// here, those of one that failed in store/failures.
const (
	outcomeHandled   = "handled"
	outcomeDuplicate = "duplicate"
	outcomeParked    = "parked" // kept back behind an event of its aggregate that failed
)

var outcomes = []string{
	outcomeHandled, outcomeDuplicate, outcomeParked,
	string(failures.OutcomeRetried), string(failures.OutcomeDeferred), string(failures.OutcomeQuarantined), string(failures.OutcomeDead),
}

// Metrics are the harness's counters; make one with NewMetrics and share it
// between all runners of a process.
type Metrics struct {
	messages *prometheus.CounterVec
	handling *prometheus.HistogramVec
	batch    *prometheus.HistogramVec
	slots    *prometheus.GaugeVec
	paused   *prometheus.GaugeVec
	success  *prometheus.GaugeVec
	delays   *timing.Metrics

	timerFailures *prometheus.CounterVec
}

// NewMetrics registers the harness's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		delays: timing.NewMetrics(r),
		messages: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "composerp_worker_messages_total", Help: "Messages by outcome.",
		}, []string{"worker", "outcome"}),
		handling: auto.NewHistogramVec(scrape.Latency(r, prometheus.HistogramOpts{
			Name: "composerp_worker_batch_seconds", Help: "Time from taking a batch to acknowledging it.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}), []string{"worker"}),
		batch: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name: "composerp_worker_batch_size", Help: "Messages in a batch.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500},
		}, []string{"worker"}),
		slots: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "composerp_worker_slots", Help: "Slots that are consuming now.",
		}, []string{"worker"}),
		paused: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "composerp_worker_paused_slots", Help: "Slots paused because the database or a dependency is unavailable.",
		}, []string{"worker"}),
		success: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "composerp_worker_last_success_timestamp_seconds", Help: "When the worker last handled a message; absent until it has handled one.",
		}, []string{"worker"}),
		timerFailures: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "composerp_worker_timer_failures_total", Help: "Failed runs of a worker's timer.",
		}, []string{"worker"}),
	}
}

// precreate makes every series of a worker, so that zeros exist.
func (m *Metrics) precreate(worker string) {
	for _, outcome := range outcomes {
		m.messages.WithLabelValues(worker, outcome)
	}
	m.handling.WithLabelValues(worker)
	m.batch.WithLabelValues(worker)
	m.slots.WithLabelValues(worker).Add(0)
	m.paused.WithLabelValues(worker).Add(0)
	m.timerFailures.WithLabelValues(worker).Add(0)
}

// RegisterFailures adds gauges of the whole fleet's failures, read from the database
// at each scrape, and absent when it does not answer. Dependencies and classes are no closed
// set, so they are counted and not named; the doctor names them.
func RegisterFailures(r prometheus.Registerer, db *store.DB) {
	scrape.Register(r, "composerp_open_circuits", "Dependencies whose circuit is open: they are away, and only probes are sent.", func(ctx context.Context) (int64, error) {
		circuits, err := failures.OpenCircuits(ctx, db)
		return int64(len(circuits)), err
	})
	scrape.Register(r, "composerp_lone_probes", "Open circuits that the same call alone has probed in vain for a minute and more: it may be at fault, not the dependency.", func(ctx context.Context) (int64, error) {
		circuits, err := failures.OpenCircuits(ctx, db)
		lone := slices.DeleteFunc(circuits, func(c failures.CircuitState) bool { return !c.Lone })
		return int64(len(lone)), err
	})
	scrape.Register(r, "composerp_quarantined_classes", "Classes of failing events that are held back until they are released.", func(ctx context.Context) (int64, error) {
		n, err := failures.QuarantinedClasses(ctx, db)
		return int64(n), err
	})
	scrape.RegisterByQueue(r, "composerp_dead_letters_oldest_timestamp_seconds", "When the oldest dead letter of the queue died that waits for a person; absent when none waits.", func(ctx context.Context) (map[string]int64, error) {
		died, err := failures.OldestLetters(ctx, db)
		oldest := map[string]int64{}
		for queue, at := range died {
			oldest[queue] = at.Unix()
		}
		return oldest, err
	})
	scrape.Register(r, "composerp_parked_aggregates", "Aggregates whose events wait behind one that failed, in queues with lanes.", func(ctx context.Context) (int64, error) {
		return parking.Count(ctx, db)
	})
}
