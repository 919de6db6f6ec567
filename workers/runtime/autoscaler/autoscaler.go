package autoscaler

import (
	"math"
	"time"
)

// Autoscaler decides for one queue. The zero value is ready; it is not safe for concurrent use.
type Autoscaler struct {
	last     Sample
	known    bool    // last is a sample
	averaged bool    // arrivals is an average
	arrivals float64 // λ
	began    time.Time
	wanted   []want // within Window, oldest first
	moved    time.Time
	raised   time.Time
	outcomes outcomes
	gain     gain
}

type want struct {
	at    time.Time
	slots int
}

// Decide takes what was measured since the last call and says how many slots there should be.
func (a *Autoscaler) Decide(p Policy, s Sample) Decision {
	p = p.complete()
	a.observe(s)
	rate := s.Curve.Rate(p.Batch)
	d := Decision{At: s.At, From: s.Desired, Arrivals: a.arrivals, Depth: s.Depth, Rate: rate, Drain: p.Drain.Seconds(), Gain: a.gain.last}
	d.Wanted = a.want(p, s, rate)
	d.Peak = a.peak(s.At, d.Wanted)
	d.Desired, d.Bound, d.Hold = a.bounded(p, s, d)
	switch {
	case d.Desired > s.Desired:
		a.moved, a.raised = s.At, s.At
		a.gain.raise(s.Desired, d.Desired)
	case d.Desired < s.Desired:
		a.moved = s.At
		a.gain.lower()
	}
	d.NextMove = a.nextMove(p, s.At, d).Seconds()
	return d
}

func (a *Autoscaler) observe(s Sample) {
	defer func() { a.last, a.known = s, true }()
	if !a.known {
		a.began = s.At
		return
	}
	seconds := s.At.Sub(a.last.At).Seconds()
	if seconds <= 0 {
		return
	}
	came := max(float64(s.Depth-a.last.Depth+s.Acked-s.Returned)/seconds, 0)
	if a.averaged {
		a.arrivals += (1 - math.Exp(-seconds/Memory.Seconds())) * (came - a.arrivals)
	} else {
		a.arrivals, a.averaged = came, true
	}
	a.outcomes.add(seconds, s)
	a.gain.observe(s, float64(s.Acked)/seconds, seconds)
}

// want is the rule. A queue that is empty, and to which less than half a message comes within the target, wants none.
// A switch of lanes takes one slot, which finds that the old lanes are empty.
func (a *Autoscaler) want(p Policy, s Sample, rate float64) int {
	drain := p.Drain.Seconds()
	if s.Switching {
		return max(s.Desired, 1)
	}
	if s.Depth == 0 && a.arrivals*drain < 0.5 {
		return 0
	}
	if rate <= 0 {
		return max(s.Desired, 1)
	}
	return max(int(math.Ceil((a.arrivals/Utilization+float64(s.Depth)/drain)/rate-1e-9)), 1)
}

// peak notes what is wanted now, and is the most that was wanted within Window.
func (a *Autoscaler) peak(at time.Time, wanted int) int {
	kept := a.wanted[:0]
	most := wanted
	for _, w := range a.wanted {
		if at.Sub(w.at) <= Window {
			kept = append(kept, w)
			most = max(most, w.slots)
		}
	}
	a.wanted = append(kept, want{at, wanted})
	return most
}

// bounded is the number of slots after steps, pauses, holds and the pool's limits.
func (a *Autoscaler) bounded(p Policy, s Sample, d Decision) (int, Bound, Hold) {
	within := d
	within.Wanted, within.Peak = min(max(d.Wanted, p.Min), p.Max), min(max(d.Peak, p.Min), p.Max)
	slots, bound, hold := a.step(s, within)
	switch {
	case bound == NoBound && d.Wanted < p.Min:
		bound = ByMin
	case bound == NoBound && d.Wanted > p.Max:
		bound = ByMax
	}
	for _, limit := range []struct {
		most  int
		bound Bound
	}{{p.Max, ByMax}, {p.Room, ByRoom}, {p.Lanes, ByLanes}} {
		if (limit.bound == ByMax || limit.most > 0) && slots > limit.most {
			slots, bound = limit.most, limit.bound
		}
	}
	if slots < p.Min && (p.Room == 0 || p.Min <= p.Room) {
		slots, bound = p.Min, ByMin
	}
	return slots, bound, hold
}

// step is the number of slots after steps, pauses and holds.
func (a *Autoscaler) step(s Sample, d Decision) (int, Bound, Hold) {
	from, at := s.Desired, s.At
	if from == 0 && d.Wanted > 0 { // it wakes on the first message, whatever pause runs
		return 1, NoBound, NoHold
	}
	if !a.averaged { // the first sample of a leader: neither arrivals nor throughput are known
		return from, ByHold, NotMeasured
	}
	if hold := a.outcomes.hold(s, d); hold != NoHold {
		return from, ByHold, hold
	}
	switch target, saturated := a.gain.bounded(at, d.Wanted); {
	case target > from:
		if at.Sub(a.raised) < UpPause || a.gain.measuring(s) {
			return from, ByUpPause, NoHold
		}
		if most := max(2*from, from+leastStep); target > most {
			return most, ByStepUp, NoHold
		}
		return target, NoBound, NoHold
	case saturated && target == from:
		return from, ByHold, DownstreamSaturated
	case target == from:
		return from, NoBound, NoHold
	default:
		slots, bound := a.stepDown(from, at, d, saturated)
		if saturated {
			return slots, bound, DownstreamSaturated
		}
		return slots, bound, NoHold
	}
}

// stepDown is the number of slots where fewer are wanted.
func (a *Autoscaler) stepDown(from int, at time.Time, d Decision, saturated bool) (int, Bound) {
	peak, _ := a.gain.bounded(at, d.Peak)
	switch {
	case !a.moved.IsZero() && at.Sub(a.moved) < DownPause:
		return from, ByDownPause
	case peak >= from || !saturated && at.Sub(a.began) < Window:
		return from, ByWindow
	case float64(peak) >= downBelow*float64(from):
		return from, ByHysteresis
	case from > 1 && peak < (from+1)/2:
		return (from + 1) / 2, ByStepDown
	}
	return peak, NoBound
}

// nextMove is the time until a step towards what is wanted is allowed, as far as pauses decide.
func (a *Autoscaler) nextMove(p Policy, at time.Time, d Decision) time.Duration {
	d.Wanted = min(max(d.Wanted, p.Min), p.Max)
	wait := time.Duration(0)
	switch {
	case d.Wanted > d.Desired && !a.raised.IsZero():
		wait = a.raised.Add(UpPause).Sub(at)
	case d.Wanted < d.Desired && !a.moved.IsZero():
		wait = a.moved.Add(DownPause).Sub(at)
	}
	if d.Hold == DownstreamSaturated {
		wait = max(wait, a.gain.until.Sub(at))
	}
	if d.Wanted < d.Desired {
		wait = max(wait, a.began.Add(Window).Sub(at))
		for _, w := range a.wanted {
			if float64(w.slots) >= downBelow*float64(d.Desired) {
				wait = max(wait, w.at.Add(Window).Sub(at))
			}
		}
	}
	return max(wait, 0)
}
