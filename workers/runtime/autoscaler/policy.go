package autoscaler

import (
	"time"

	"github.com/composerp/composerp/workers/worker/curve"
)

// Curve is what a worker's batches took.
type Curve = curve.Curve

// What the rule reckons with. They are constants so that a decision can be explained by
// its numbers alone.
const (
	Interval    = 5 * time.Second   // between two samples
	Memory      = 30 * time.Second  // time constant of the average of arrivals
	Utilization = 0.8               // share of a slot's time that arrivals may fill
	UpPause     = 10 * time.Second  // between two steps up
	DownPause   = 30 * time.Second  // between any move and a step down
	Window      = 120 * time.Second // the most wanted within it bounds steps down
	downBelow   = 0.75              // of the slots: above it, a step down is not worth it
	leastStep   = 4                 // slots a step up may always add

	// DefaultDrain is the target of a pool that names none.
	DefaultDrain = time.Minute
)

// Policy bounds a pool. The zero value is one slot, always.
type Policy struct {
	Min   int           `json:"min" yaml:"min"`     // least slots; 0 lets the queue sleep
	Max   int           `json:"max" yaml:"max"`     // most slots; less than Min counts as Min
	Drain time.Duration `json:"drain" yaml:"drain"` // the time a backlog may take; 0 is DefaultDrain
	Batch int           `json:"batch" yaml:"batch"` // messages of a full batch; 0 is 1
	Room  int           `json:"room" yaml:"room"`   // slots that the database has sessions for; 0 is no bound
	Lanes int           `json:"lanes" yaml:"lanes"` // lanes of the queue, which more slots would wait for; 0 is no bound
}

func (p Policy) complete() Policy {
	p.Min = max(p.Min, 0)
	if p.Lanes > 0 {
		p.Min = min(p.Min, p.Lanes)
	}
	p.Max = max(p.Max, p.Min)
	if p.Drain <= 0 {
		p.Drain = DefaultDrain
	}
	p.Batch = max(p.Batch, 1)
	return p
}

// Sample is what was measured of a queue since the sample before.
type Sample struct {
	At       time.Time
	Depth    int           // messages ready and in hand
	Acked    int           // messages that left the queue: done, sent to a retry queue, dead
	Returned int           // messages that came in out of retry queues
	Retried  int           // of the acked: sent to a retry queue
	Desired  int           // slots as the pool stands
	Running  int           // slots that consume
	Busy     time.Duration // time that slots had batches in hand, added up; also those that have not ended
	Curve    Curve         // of the worker's batches

	Away        bool // a circuit breaker of the worker is open
	Quarantined bool // a class of its events is quarantined
	Blocked     bool // the broker blocks publishers
	Switching   bool // the number of the queue's lanes is being changed
}

// Hold is why a number stays although another is wanted.
type Hold string

// The holds.
const (
	NoHold              Hold = ""
	DownstreamSaturated Hold = "downstream-saturated" // the last step up brought less than a fifth of what it should
	RetryStorm          Hold = "retry-storm"          // more than 30 % of outcomes are retries
	DependencyAway      Hold = "dependency-away"      // a circuit breaker is open: more slots would wait too
	Quarantine          Hold = "quarantine"           // events of a class are held back
	LanesSwitching      Hold = "lanes-switching"      // the number of lanes is being changed
	BrokerBlocked       Hold = "broker-blocked"       // the broker takes no events that handlers emit
	NotMeasured         Hold = "not-measured"         // no batch or no interval has been measured yet
)

// Bound is what made the number of a decision, when it was not the rule alone.
type Bound string

// The bounds.
const (
	NoBound      Bound = ""
	ByMin        Bound = "min"
	ByMax        Bound = "max"
	ByRoom       Bound = "database-pool" // sessions that the database has for slots
	ByLanes      Bound = "lanes"         // a slot for each lane
	ByStepUp     Bound = "step-up"       // twice the slots, or four more
	ByStepDown   Bound = "step-down"     // half the slots
	ByUpPause    Bound = "up-pause"
	ByDownPause  Bound = "down-pause"
	ByWindow     Bound = "window"     // more was wanted within the last two minutes
	ByHysteresis Bound = "hysteresis" // not below three quarters of the slots
	ByHold       Bound = "hold"
)

// Decision is the number of slots that a queue should have, with the numbers it comes from.
type Decision struct {
	At       time.Time `json:"at"`
	Desired  int       `json:"desired"`
	From     int       `json:"from"`     // slots as the pool stood
	Wanted   int       `json:"wanted"`   // by the rule, before any bound
	Peak     int       `json:"peak"`     // the most wanted within Window
	Arrivals float64   `json:"arrivals"` // λ, messages a second
	Depth    int       `json:"depth"`
	Rate     float64   `json:"rate"` // of one slot in full batches, messages a second
	Drain    float64   `json:"drainSeconds"`
	Bound    Bound     `json:"bound"`
	Hold     Hold      `json:"hold"`
	Gain     float64   `json:"gain"`            // of the last step up that was measured: 1 is all it should bring
	NextMove float64   `json:"nextMoveSeconds"` // until a step in the wanted direction is allowed
}
