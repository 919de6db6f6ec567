package worker

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/failures"
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
	replayed *prometheus.CounterVec
	handling *prometheus.HistogramVec
	batch    *prometheus.HistogramVec
	slots    *prometheus.GaugeVec
	busy     *prometheus.GaugeVec
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
		replayed: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "composerp_worker_replayed_total", Help: "Messages that a replay published, or that follow from one, by outcome; silent: no call was made.",
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
		busy: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "composerp_worker_busy_slots", Help: "Slots that have a batch in hand now; the other consuming slots are idle.",
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
	for _, outcome := range replayOutcomes {
		m.replayed.WithLabelValues(worker, outcome)
	}
	m.handling.WithLabelValues(worker)
	m.batch.WithLabelValues(worker)
	m.slots.WithLabelValues(worker).Add(0)
	m.busy.WithLabelValues(worker).Add(0)
	m.paused.WithLabelValues(worker).Add(0)
	m.timerFailures.WithLabelValues(worker).Add(0)
}

// counted are a worker's own counters.
type counted struct {
	collectors []prometheus.Collector
	count      func(events []event.Any)
}

// Counted gives a worker counters of its own: count is called with the events whose handling was committed, and must
// not wait for anything. A process that dies between the commit and the call leaves these events uncounted.
func Counted(count func(events []event.Any), collectors ...prometheus.Collector) Option {
	return func(w *Worker) { w.counted = counted{collectors, count} }
}

// Collectors are the worker's own counters, to be registered once in a process.
func (w Worker) Collectors() []prometheus.Collector { return w.counted.collectors }

// Outcomes of messages that follow from a replay.
const outcomeSilent = "silent"

var replayOutcomes = []string{outcomeHandled, outcomeDuplicate, outcomeSilent}

// countReplayed counts those of an attempt's messages that follow from a replay.
func (s *slot) countReplayed(messages []message, done outcome) {
	marked, handled := 0, 0
	for i := range messages {
		if messages[i].followsReplay() {
			marked++
		}
	}
	if marked == 0 {
		return
	}
	for i := range done.claimed {
		if done.claimed[i].followsReplay() {
			handled++
		}
	}
	count := func(outcome string, n int) {
		s.Metrics.replayed.WithLabelValues(s.Worker.name, outcome).Add(float64(n))
	}
	count(outcomeDuplicate, max(0, marked-handled-done.parked))
	if !done.silent {
		count(outcomeHandled, handled)
		return
	}
	count(outcomeSilent, handled)
	for _, m := range done.claimed {
		s.about(m.Message, traceOf(m), 1).Info(logSilent, "event", m.event.ID, "replay", m.event.Metadata.Replay)
	}
}

// withoutAgain are the messages that are handled for the first time.
func withoutAgain(messages []message) []message {
	for i := range messages {
		if messages[i].again {
			first := make([]message, 0, len(messages))
			for _, m := range messages {
				if !m.again {
					first = append(first, m)
				}
			}
			return first
		}
	}
	return messages
}
