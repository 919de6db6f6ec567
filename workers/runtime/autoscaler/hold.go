package autoscaler

import "math"

const (
	stormShare = 0.3 // of outcomes that are retries
	stormLeast = 20  // outcomes within Memory, below which a share says nothing
)

// outcomes count what happened to messages; older ones have less weight.
type outcomes struct {
	acked, retried float64
}

func (o *outcomes) add(seconds float64, s Sample) {
	fade := math.Exp(-seconds / Memory.Seconds())
	o.acked = o.acked*fade + float64(s.Acked)
	o.retried = o.retried*fade + float64(s.Retried)
}

// hold is why the number stays. A dependency or a broker that is away stops moves in both
// directions: their messages come back all at once. So does a switch of lanes: the backlog
// waits for it and not for slots, and each move of slots moves lanes. The others only stop
// moves up, for with less to do fewer slots are right in any case.
func (o *outcomes) hold(s Sample, d Decision) Hold {
	more := d.Wanted > s.Desired
	switch {
	case s.Switching:
		return LanesSwitching
	case s.Blocked:
		return BrokerBlocked
	case s.Away:
		return DependencyAway
	case s.Quarantined && more:
		return Quarantine
	case o.acked >= stormLeast && o.retried > stormShare*o.acked && more:
		return RetryStorm
	case d.Rate <= 0 && s.Depth > 0 && s.Desired > 0:
		return NotMeasured
	}
	return NoHold
}
