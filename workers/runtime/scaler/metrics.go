package scaler

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/runtime/autoscaler"
)

// Metrics are the pools' gauges; make one with NewMetrics. Only the leader's process has their series.
type Metrics struct {
	desired, running, unplaced *prometheus.GaugeVec
	target, paused             *prometheus.GaugeVec
	lanes, unowned             *prometheus.GaugeVec
	decisions                  *prometheus.CounterVec
}

// NewMetrics registers the metrics of pools.
func NewMetrics(r prometheus.Registerer) *Metrics {
	auto := promauto.With(r)
	gauge := func(name, help string) *prometheus.GaugeVec {
		return auto.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"queue"})
	}
	return &Metrics{
		decisions: auto.NewCounterVec(prometheus.CounterOpts{
			Name: "composerp_scale_decisions_total", Help: "Decisions of the autoscaler, by what stands behind them: the rule alone, or what held or bounded it.",
		}, []string{"queue", "reason"}),
		desired:  gauge("composerp_pool_desired", "Slots that the pool should have, before what nodes can take; the leader's process alone has it."),
		running:  gauge("composerp_pool_running", "Slots of the pool that living nodes report as running; the leader's process alone has it."),
		unplaced: gauge("composerp_pool_unplaced", "Slots that the pool should have and no node has room for; the leader's process alone has it."),
		target:   gauge("composerp_pool_drain_target_seconds", "Time in which the autoscaler wants the pool's backlog handled; absent for pools in another mode; the leader's process alone has it."),
		paused:   gauge("composerp_pool_paused", "1 where an operator has paused the pool, 0 where not; absent for pools that no command has changed; the leader's process alone has it."),
		lanes:    gauge("composerp_lanes", "Lanes that the queue is divided into; the leader's process alone has it."),
		unowned:  gauge("composerp_lanes_unowned", "Lanes that no living node has handled for 30 s: their events wait; the leader's process alone has it."),
	}
}

// byRule is the reason of a decision that nothing held or bounded.
const byRule = "rule"

// decided counts a decision.
func (m *Metrics) decided(queue string, d autoscaler.Decision) {
	if m != nil {
		m.decisions.WithLabelValues(queue, cmp.Or(string(d.Hold), string(d.Bound), byRule)).Inc()
	}
}

// show sets the gauges. A pool that follows flags has no desired number.
func (m *Metrics) show(s scaling.State, reports []scaling.Report) {
	if m == nil {
		return
	}
	m.hide()
	for _, r := range s.Living(reports) {
		m.running.WithLabelValues(r.Queue).Add(float64(r.Running))
	}
	for _, p := range s.Pools {
		m.paused.WithLabelValues(p.Queue).Set(map[bool]float64{true: 1}[p.Paused])
		if p.Mode == scaling.Auto {
			m.target.WithLabelValues(p.Queue).Set(p.DrainSeconds)
		}
		if p.Desired != nil {
			m.desired.WithLabelValues(p.Queue).Set(float64(*p.Desired))
			m.unplaced.WithLabelValues(p.Queue).Set(float64(max(0, *p.Desired-s.Assigned.Of(p.Queue))))
		}
	}
}

// hide removes all series: another process leads.
func (m *Metrics) hide() {
	if m == nil {
		return
	}
	m.desired.Reset()
	m.running.Reset()
	m.unplaced.Reset()
	m.target.Reset()
	m.paused.Reset()
}

// showLanes sets the gauges of lanes.
func (m *Metrics) showLanes(sets []lanes.Set, unowned map[string]int) {
	if m == nil {
		return
	}
	for _, s := range sets {
		m.lanes.WithLabelValues(s.Queue).Set(float64(s.Consumed))
		m.unowned.WithLabelValues(s.Queue).Set(float64(unowned[s.Queue]))
	}
}

// hideLanes removes their series: another process leads.
func (m *Metrics) hideLanes() {
	if m == nil {
		return
	}
	m.lanes.Reset()
	m.unowned.Reset()
}
