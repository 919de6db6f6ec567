package timing

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/workers/worker/scrape"
)

// Metrics are the histograms of all deliveries; make them with NewMetrics.
type Metrics struct {
	total  *prometheus.HistogramVec
	stages *prometheus.HistogramVec
}

// NewMetrics registers the histograms.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	return &Metrics{
		total: auto.NewHistogramVec(scrape.Latency(r, prometheus.HistogramOpts{
			Name: "composerp_delivery_seconds", Help: "Time from the birth of an event in the log to the commit of its effect, of events that came through the log.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 22),
		}), []string{"queue"}),
		stages: auto.NewHistogramVec(scrape.Latency(r, prometheus.HistogramOpts{
			Name: "composerp_delivery_stage_seconds", Help: "Time of a delivery in each stage that it went through.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 12),
		}), []string{"queue", "stage"}),
	}
}

// Queue are the histograms of one queue.
type Queue struct {
	total  prometheus.Observer
	stages [delay.Stages]prometheus.Observer
}

// Of makes the series of a queue, so that zeros exist.
func (m *Metrics) Of(queue string) *Queue {
	q := &Queue{total: m.total.WithLabelValues(queue)}
	for s := range q.stages {
		q.stages[s] = m.stages.WithLabelValues(queue, delay.Stage(s).String())
	}
	return q
}

// Observe counts a delivery that was handled. measured: its times begin with the event's birth. Its trace, if there is
// one, becomes the exemplar of the bucket that it counts in.
func (q *Queue) Observe(times *delay.Times, measured bool, trace string) {
	if measured {
		observe(q.total, times.Total(), trace)
	}
	for s := range q.stages {
		spent := times.In(delay.Stage(s))
		if spent == 0 && !always(delay.Stage(s), measured) {
			continue
		}
		observe(q.stages[s], spent, trace)
	}
}

func observe(histogram prometheus.Observer, spent time.Duration, trace string) {
	if trace == "" {
		histogram.Observe(spent.Seconds())
		return
	}
	histogram.(prometheus.ExemplarObserver).ObserveWithExemplar(spent.Seconds(), prometheus.Labels{"trace_id": trace})
}

// always tells the stages that every delivery goes through, as far as it was measured.
func always(s delay.Stage, measured bool) bool {
	return s == delay.Buffer || s == delay.Handling || measured && s < delay.Buffer
}
