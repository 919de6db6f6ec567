package chaos

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Pick is a fault of a step.
type Pick struct {
	Fault string        `json:"fault"`
	After time.Duration `json:"after"` // from the beginning of the step
	Hold  time.Duration `json:"hold"`  // how long it lasts before it is healed
	Dice  uint64        `json:"-"`     // decides what it affects, and how
}

// Step is one fault, or two at once, after a pause.
type Step struct {
	Pause time.Duration `json:"pause"`
	Picks []Pick        `json:"picks"`
}

// The streams of random numbers of a seed: the numbers of one do not depend on how many were drawn from another.
const (
	streamSchedule = iota + 1
	streamPublications
)

func randomFor(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

// Pauses between steps, the share of steps with a second fault (one in four), and the expected time of a recovery,
// which only decides how many steps there are.
const (
	leastPause, mostPause = 200 * time.Millisecond, 1500 * time.Millisecond
	companionOneIn        = 4
	expectedRecovery      = time.Second
)

// Plan gives the steps of a seed, as many as about fill the duration, and at least one. The faults come in a shuffled
// order, each once before any comes again; a fault that does not fit into the time that is left is skipped. The second
// fault of a step is of another group.
func Plan(seed uint64, duration time.Duration, faults []Fault) []Step {
	r := randomFor(seed, streamSchedule)
	var steps []Step
	for left, misfits := duration, 0; ; {
		deck := slices.Clone(faults)
		r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		for _, f := range deck {
			step, takes := deal(r, f, faults)
			if takes > left && len(steps) > 0 {
				if misfits++; misfits == len(faults) {
					return steps
				}
				continue
			}
			steps, left, misfits = append(steps, step), left-takes, 0
		}
	}
}

// deal makes a step of a fault, and gives how long it may take.
func deal(r *rand.Rand, first Fault, faults []Fault) (Step, time.Duration) {
	step := Step{Pause: between(r, leastPause, mostPause)}
	step.Picks = append(step.Picks, pick(r, first, 0))
	takes := step.Picks[0].Hold + first.costs
	if second, ok := companion(r, first, faults); ok {
		p := pick(r, second, between(r, 0, step.Picks[0].Hold))
		step.Picks = append(step.Picks, p)
		takes = max(takes, p.After+p.Hold+second.costs)
	}
	return step, step.Pause + takes + expectedRecovery
}

func pick(r *rand.Rand, f Fault, after time.Duration) Pick {
	return Pick{Fault: f.Name, After: after.Round(time.Millisecond), Hold: between(r, f.least, f.most).Round(time.Millisecond), Dice: r.Uint64()}
}

// companion draws a second fault for one step in four. It always draws the same number of random numbers.
func companion(r *rand.Rand, first Fault, faults []Fault) (Fault, bool) {
	wanted, at := r.IntN(companionOneIn) == 0, r.IntN(len(faults))
	for i := range faults {
		if f := faults[(at+i)%len(faults)]; wanted && f.Group != first.Group {
			return f, true
		}
	}
	return Fault{}, false
}

// between draws a duration, uniformly.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return (least + time.Duration(r.Int64N(int64(most-least)))).Round(time.Millisecond)
}
