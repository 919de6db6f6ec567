package bench

import (
	"fmt"
	"math"
)

// Goal is one figure beside its bound.
type Goal struct {
	What     string  `json:"what"`
	Measured float64 `json:"measured"`
	// Bound is the goal: at least so much, or at most.
	Bound  float64 `json:"bound"`
	AtMost bool    `json:"atMost"`
	Met    bool    `json:"met"`

	unit string
}

func atLeast(what string, measured, bound float64) Goal {
	return Goal{What: what, Measured: measured, Bound: bound, Met: measured >= bound}
}

func atMost(what string, measured, bound float64) Goal {
	return Goal{What: what, Measured: measured, Bound: bound, AtMost: true, Met: measured <= bound}
}

func (g Goal) columns() []string {
	bound, met := "at least ", "missed"
	if g.AtMost {
		bound = "at most "
	}
	if g.Met {
		met = "met"
	}
	return []string{g.What, g.text(g.Measured), bound + g.text(g.Bound), met}
}

func (g Goal) text(v float64) string {
	if g.unit == percent {
		return fmt.Sprintf("%.1f %%", v)
	}
	if g.unit != "" {
		return fmt.Sprintf("%.0f %s", v, g.unit)
	}
	return fmt.Sprintf("%.2f", v)
}

const percent = "%"

// goals holds the figures against their bounds. A figure that this machine cannot measure has no goal: processor time
// and memory without /proc or of servers elsewhere.
func (r Report) goals() []Goal {
	goals := []Goal{
		atLeast("same work", r.SameWorkRatio, 0.95),
		atLeast("the ledger", r.LedgerRatio, 0.5),
		atLeast("the whole fleet", r.FleetRatio, 0.17),
		atMost("idle latency, p50", r.IdleP50Ratio, 1.6),
		atMost("idle latency, p99", r.IdleP99Ratio, 2),
	}
	if r.ClientRatio > 0 && r.DatabaseRatio > 0 {
		goals = append(goals,
			atMost("client CPU a delivery to the fleet", r.ClientRatio, 1.3),
			atMost("database CPU a delivery to the fleet", r.DatabaseRatio, 1.3))
		goals = append(goals, r.share("recording where a delivery's time goes, of its CPU", r.Recording.Prompt),
			r.share("the same in a backlog", r.Recording.Late))
	}
	if r.FleetMemoryMB > 0 {
		memory := atMost("memory of the fleet", r.FleetMemoryMB, 200)
		memory.unit = "MB"
		goals = append(goals, memory)
	}
	return goals
}

// share is the goal of a cost for each delivery to the fleet.
func (r Report) share(what string, micros float64) Goal {
	g := atMost(what, 100*ratio(micros, r.FleetPrices.Delivery.total()), 2)
	g.unit = percent
	return g
}

// ratio is a over b; 0 where either is unknown.
func ratio(a, b float64) float64 {
	if q := a / b; !math.IsNaN(q) && !math.IsInf(q, 0) {
		return q
	}
	return 0
}
