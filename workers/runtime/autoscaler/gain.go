package autoscaler

import (
	"math"
	"time"
)

const (
	leastGain    = 0.2              // of what a step up should bring: below it, something else is the limit
	busyShare    = 0.8              // of slots' time from which throughput is all that they can do
	gainMemory   = 15.0             // seconds, time constant of the throughput before a step
	gainMeasured = 10.0             // seconds of samples after a step, at least
	gainBatches  = 3.0              // batches that a slot ends in either time, at least: one says little
	gainLongest  = 120.0            // seconds, the most that batches are waited for
	firstCeiling = 10 * time.Minute // the first pause before more is tried again
	lastCeiling  = 80 * time.Minute
)

// gain measures what steps up bring. While all slots are busy, throughput is what they can
// do; a step from 4 to 8 slots that leaves it as it was has brought 0, one that doubles it 1. Below
// leastGain the step is taken back: ceiling is the number before it, until the
// pause has passed. A verdict needs slots that are busy before and after.
type gain struct {
	throughput float64 // messages a second of busy slots, averaged; 0 is unknown
	averaged   float64 // seconds of it
	batches    float64 // seconds of gainBatches
	pending    bool    // a step up is measured
	from, to   int
	settled    bool    // a sample has passed since the new slots run
	acked      float64 // since settled
	seconds    float64

	last    float64 // what the last measured step brought
	ceiling int     // 0 is none
	until   time.Time
	pause   time.Duration
}

// raise begins to measure a step up. Steps that follow before the new slots run are one step.
func (g *gain) raise(from, to int) {
	if !g.pending {
		g.from = from
	}
	if g.pending = g.throughput > 0 && from > 0 && g.averaged >= g.batches; !g.pending {
		g.lower()
	}
	g.to, g.settled, g.acked, g.seconds = to, false, 0, 0
}

func (g *gain) lower() { g.pending, g.throughput, g.averaged = false, 0, 0 }

// measuring reports whether the slots of the last step run and are being measured, or whether too little is known of
// those before a step: the next step waits for that.
func (g *gain) measuring(s Sample) bool {
	return g.pending && s.Running >= g.to || !g.pending && g.averaged > 0 && g.averaged < g.batches
}

func (g *gain) observe(s Sample, throughput, seconds float64) {
	g.batches = 0
	if s.Curve.Weight > 0 {
		g.batches = min(gainBatches*s.Curve.Seconds/s.Curve.Weight, gainLongest)
	}
	busy := s.Running > 0 && s.Busy.Seconds() >= busyShare*seconds*float64(s.Running)
	switch {
	case !g.pending && busy && s.Running == s.Desired:
		g.averaged += seconds
		share := max(1-math.Exp(-seconds/max(gainMemory, g.batches)), seconds/g.averaged)
		g.throughput += share * (throughput - g.throughput)
	case !g.pending:
		g.lower()
	case s.Desired != g.to: // another than the rule moved the pool
		g.lower()
	case s.Running < g.to: // they start
	case !busy: // what there was to do is done: nothing is the limit
		g.lower()
		g.ceiling, g.pause = 0, 0
	case !g.settled:
		g.settled = true
	default:
		g.acked += throughput * seconds
		g.seconds += seconds
		if g.seconds >= max(gainMeasured, g.batches) {
			g.conclude(s.At)
		}
	}
}

func (g *gain) conclude(at time.Time) {
	after := g.acked / g.seconds
	g.last = (after/g.throughput - 1) / (float64(g.to)/float64(g.from) - 1)
	g.pending = false
	if g.last >= leastGain {
		g.throughput, g.averaged, g.ceiling, g.pause = after, g.seconds, 0, 0
		return
	}
	g.pause = min(max(2*g.pause, firstCeiling), lastCeiling)
	g.lower()
	g.ceiling, g.until = g.from, at.Add(g.pause)
}

// bounded is the number of slots that is worth it, and whether that is fewer than wanted.
func (g *gain) bounded(at time.Time, wanted int) (slots int, saturated bool) {
	if g.ceiling > 0 && wanted > g.ceiling && at.Before(g.until) {
		return g.ceiling, true
	}
	return wanted, false
}
