package watchdog

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// What is declared again, as the metric's label has it.
const (
	repairExchange = "exchange"
	repairQueue    = "queue"
	repairBinding  = "binding"
)

// Metrics are the watchdog's; make one with NewMetrics. The kinds of problems have series where the watchdog leads, and
// while the database is away.
type Metrics struct {
	leading     prometheus.Gauge
	snapshots   prometheus.Counter
	problems    *prometheus.GaugeVec
	repairs     *prometheus.CounterVec
	republished prometheus.Counter
}

// NewMetrics registers the watchdog's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	m := &Metrics{
		leading: auto.NewGauge(prometheus.GaugeOpts{
			Name: "composerp_watchdog_leading", Help: "1 where this process's watchdog holds the lease.",
		}),
		snapshots: auto.NewCounter(prometheus.CounterOpts{
			Name: "composerp_watchdog_snapshots_total", Help: "Snapshots that the watchdog has taken of the fleet.",
		}),
		problems: auto.NewGaugeVec(prometheus.GaugeOpts{
			Name: "composerp_watchdog_problem", Help: "Problems the watchdog sees now, by kind; a kind that is not judged now is absent.",
		}, []string{"kind"}),
		repairs: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "composerp_watchdog_repairs_total", Help: "Exchanges, queues and bindings that were missing and have been declared again.",
		}, []string{"what"}),
		republished: auto.NewCounter(prometheus.CounterOpts{
			Name: "composerp_watchdog_republished_total", Help: "Messages published again because they may have been lost with a queue or a binding.",
		}),
	}
	for _, what := range []string{repairExchange, repairQueue, repairBinding} {
		m.repairs.WithLabelValues(what)
	}
	return m
}

// set sets the gauge of each kind to how many there are. A kind without a problem that was not judged has no series.
func (m *Metrics) set(problems map[identity]Problem, unjudged func(Kind) bool) {
	count := map[Kind]int{}
	for _, p := range problems {
		count[p.Kind]++
	}
	for _, kind := range Kinds {
		if count[kind] == 0 && unjudged(kind) {
			m.problems.DeleteLabelValues(string(kind))
			continue
		}
		m.problems.WithLabelValues(string(kind)).Set(float64(count[kind]))
	}
}
