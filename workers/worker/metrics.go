package worker

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Outcomes of a message, as the metric's label has them.
const (
	outcomeHandled   = "handled"
	outcomeDuplicate = "duplicate"
	outcomeRetried   = "retried"
	outcomeDead      = "dead"
)

// Metrics are the harness's counters; make one with NewMetrics and share it
// between all runners of a process.
type Metrics struct {
	messages *prometheus.CounterVec
	handling *prometheus.HistogramVec
	batch    *prometheus.HistogramVec
	slots    *prometheus.GaugeVec
	paused   *prometheus.GaugeVec

	timerFailures *prometheus.CounterVec
}

// NewMetrics registers the harness's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "composerp_worker_messages_total", Help: "Messages by what became of them.",
		}, []string{"worker", "outcome"}),
		handling: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "composerp_worker_batch_seconds", Help: "Time from taking a batch to acknowledging it.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"worker"}),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "composerp_worker_batch_size", Help: "Messages in a batch.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500},
		}, []string{"worker"}),
		slots: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "composerp_worker_slots", Help: "Slots that are consuming now.",
		}, []string{"worker"}),
		paused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "composerp_worker_paused_slots", Help: "Slots that wait for the database with messages in hand.",
		}, []string{"worker"}),
	}
	m.timerFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "composerp_worker_timer_failures_total", Help: "Failed tries of a worker's timer.",
	}, []string{"worker"})
	r.MustRegister(m.messages, m.handling, m.batch, m.slots, m.paused, m.timerFailures)
	return m
}

// precreate makes every series of a worker, so that zeros are there to see.
func (m *Metrics) precreate(worker string) {
	for _, outcome := range []string{outcomeHandled, outcomeDuplicate, outcomeRetried, outcomeDead} {
		m.messages.WithLabelValues(worker, outcome)
	}
	m.handling.WithLabelValues(worker)
	m.batch.WithLabelValues(worker)
	m.slots.WithLabelValues(worker).Add(0)
	m.paused.WithLabelValues(worker).Add(0)
	m.timerFailures.WithLabelValues(worker).Add(0)
}
