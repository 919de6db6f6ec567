package simulation

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/composerp/composerp/workers/runtime/autoscaler"
)

// Model is how slots behave.
type Model struct {
	Fixed      float64       // seconds of a batch, whatever its size
	Each       float64       // seconds of each message
	Batch      int           // most messages of a batch
	Prefetch   int           // most messages that a slot holds
	Contention float64       // share by which each further slot lengthens every batch: 1 lets a second slot bring nothing
	Start      time.Duration // from the decision until a new slot consumes
	Kill       bool          // a slot that is taken away drops what it holds
}

// seconds a batch of n messages takes while that number of slots is busy.
func (m Model) seconds(n, slots int) float64 {
	return (m.Fixed + m.Each*float64(n)) * (1 + m.Contention*float64(max(slots-1, 0)))
}

// State is what a rule may go by.
type State struct {
	autoscaler.Sample
	Ready int // messages that no slot holds
}

// Rule says how many slots there should be. It is asked every autoscaler.Interval.
type Rule func(State) int

// Auto is the fleet's own rule.
func Auto(p autoscaler.Policy) Rule {
	var a autoscaler.Autoscaler
	return func(s State) int { return a.Decide(p, s.Sample).Desired }
}

// Fixed is a number that stays.
func Fixed(slots int) Rule { return func(State) int { return slots } }

// ReadyBy is a slot for each number of ready messages, as scalers do that read the broker alone.
func ReadyBy(messages, least, most int) Rule {
	return func(s State) int { return min(max((s.Ready+messages-1)/messages, least), most) }
}

// Bin is the length of a bin of arrivals.
const Bin = 100 * time.Millisecond

// Arrivals are numbers of messages, one a Bin, by a rate in messages a second that
// depends on the time since the beginning. They come at random, as Poisson's distribution has them.
func Arrivals(seed uint64, length time.Duration, rate func(time.Duration) float64) []int {
	random := rand.New(rand.NewPCG(seed, 1))
	bins := make([]int, length/Bin)
	for i := range bins {
		bins[i] = poisson(random, rate(time.Duration(i)*Bin)*Bin.Seconds())
	}
	return bins
}

// poisson draws by Knuth's method (The Art of Computer Programming, vol. 2, 3.4.1), and from the normal distribution
// for large means.
func poisson(random *rand.Rand, mean float64) int {
	if mean > 30 {
		return max(int(math.Round(mean+math.Sqrt(mean)*random.NormFloat64())), 0)
	}
	count, product, limit := 0, random.Float64(), math.Exp(-mean)
	for product > limit {
		count++
		product *= random.Float64()
	}
	return count
}
