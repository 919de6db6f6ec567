package simulation

import (
	"sort"
	"time"

	"github.com/composerp/composerp/workers/runtime/autoscaler"
)

// Result is what a rule made of the arrivals.
type Result struct {
	Messages  int           `json:"messages"`  // handled
	Left      int           `json:"left"`      // not handled at the end
	Again     int           `json:"again"`     // delivered again, since their slot dropped them
	SlotHours float64       `json:"slotHours"` // of slots that run or start
	Wait50    time.Duration `json:"-"`         // from arrival until handled, median
	Wait99    time.Duration `json:"-"`
	WaitMax   time.Duration `json:"-"`
	Peak      int           `json:"peak"`      // most slots
	Moves     int           `json:"moves"`     // changes of the number
	Reversals int           `json:"reversals"` // changes of direction
}

// group is messages that arrived in one bin.
type group struct {
	arrived time.Duration
	count   int
}

type slot struct {
	from     time.Duration // it consumes from then on
	held     []group       // prefetched, oldest first
	handling []group
	since    time.Duration // of handling; moves to the last sample
	until    time.Duration
	leaving  bool
}

type run struct {
	model      Model
	now        time.Duration
	ready      []group
	slots      []*slot
	desired    int
	waits      map[time.Duration]int
	result     Result
	direction  int
	busy       time.Duration
	acked      int
	curve      autoscaler.Curve
	slotSecond time.Duration
}

// Run lets the arrivals, one number a Bin, come to the queue, and then works on until it is
// empty, for as long as the arrivals took at the most.
func Run(m Model, begin int, rule Rule, arrivals []int) Result {
	r := &run{model: m, waits: map[time.Duration]int{}}
	r.move(begin)
	for _, s := range r.slots {
		s.from = 0
	}
	r.result.Moves, r.direction = 0, 0
	start := time.Unix(0, 0).UTC()
	for bin := 0; bin < 2*len(arrivals); bin++ {
		if bin < len(arrivals) && arrivals[bin] > 0 {
			r.ready = append(r.ready, group{r.now, arrivals[bin]})
		} else if bin >= len(arrivals) && r.depth() == 0 {
			break
		}
		r.advance(r.now + Bin)
		if r.now%autoscaler.Interval == 0 {
			r.move(rule(r.state(start)))
		}
	}
	r.result.Left = r.depth()
	r.result.SlotHours = r.slotSecond.Hours()
	r.result.Wait50, r.result.Wait99, r.result.WaitMax = quantile(r.waits, 0.5), quantile(r.waits, 0.99), quantile(r.waits, 1)
	return r.result
}

// advance lets slots fill and work until then.
func (r *run) advance(until time.Duration) {
	r.slotSecond += time.Duration(len(r.slots)) * (until - r.now)
	for {
		r.fill()
		next := r.begin(until)
		if next == nil {
			break
		}
		r.finish(next)
	}
	r.now = until
}

// fill gives ready messages to slots with room, a batch at a time to each in turn.
func (r *run) fill() {
	for gave := true; gave && len(r.ready) > 0; {
		gave = false
		for _, s := range r.slots {
			if room := r.model.Prefetch - count(s.held) - count(s.handling); room > 0 && !s.leaving && s.from <= r.now {
				var taken []group
				taken, r.ready = take(r.ready, min(room, max(r.model.Prefetch/10, 1)))
				s.held = append(s.held, taken...)
				gave = gave || len(taken) > 0
			}
		}
	}
}

// begin lets idle slots begin a batch and returns the busy one that is first to end one by then, or nil.
func (r *run) begin(until time.Duration) *slot {
	busy := 0
	for _, s := range r.slots {
		if len(s.handling) > 0 || len(s.held) > 0 {
			busy++
		}
	}
	var first *slot
	for _, s := range r.slots {
		if len(s.handling) == 0 && len(s.held) > 0 {
			s.handling, s.held = take(s.held, r.model.Batch)
			took := r.model.seconds(count(s.handling), busy)
			r.curve.Add(count(s.handling), took)
			s.since = max(r.now, s.until, s.from)
			s.until = s.since + time.Duration(took*float64(time.Second))
		}
		if len(s.handling) > 0 && s.until <= until && (first == nil || s.until < first.until) {
			first = s
		}
	}
	return first
}

func (r *run) finish(s *slot) {
	for _, g := range s.handling {
		r.waits[(s.until - g.arrived).Round(10*time.Millisecond)] += g.count
		r.result.Messages += g.count
		r.acked += g.count
	}
	r.busy += s.until - s.since
	s.handling = nil
	if s.leaving && len(s.held) == 0 {
		r.remove(s)
	}
	r.fill()
}

func (r *run) remove(gone *slot) {
	kept := r.slots[:0]
	for _, s := range r.slots {
		if s != gone {
			kept = append(kept, s)
		}
	}
	r.slots = kept
}

// state is the sample since the last one.
func (r *run) state(start time.Time) State {
	running := 0
	for _, s := range r.slots {
		if s.from <= r.now && !s.leaving {
			running++
		}
		if len(s.handling) > 0 && s.since < r.now {
			r.busy += r.now - s.since
			s.since = r.now
		}
	}
	state := State{Ready: count(r.ready), Sample: autoscaler.Sample{
		At: start.Add(r.now), Depth: r.depth(), Acked: r.acked, Desired: r.desired, Running: running, Busy: r.busy, Curve: r.curve,
	}}
	r.curve.Scale(0.9)
	r.acked, r.busy = 0, 0
	return state
}

// move starts slots, or lets the youngest leave.
func (r *run) move(desired int) {
	if change := desired - r.desired; change != 0 {
		r.result.Moves++
		direction := 1
		if change < 0 {
			direction = -1
		}
		if r.direction == -direction {
			r.result.Reversals++
		}
		r.direction = direction
	}
	r.desired = desired
	r.result.Peak = max(r.result.Peak, desired)
	var stay []*slot
	for _, s := range r.slots {
		if !s.leaving {
			stay = append(stay, s)
		}
	}
	for len(stay) < desired {
		s := &slot{from: r.now + r.model.Start}
		stay, r.slots = append(stay, s), append(r.slots, s)
	}
	for _, s := range stay[desired:] {
		s.leaving = true
		if r.model.Kill {
			dropped := append(s.handling, s.held...)
			r.result.Again += count(dropped)
			r.ready = append(dropped, r.ready...)
			s.handling, s.held = nil, nil
		}
		if len(s.handling) == 0 && len(s.held) == 0 {
			r.remove(s)
		}
	}
}

func (r *run) depth() int {
	depth := count(r.ready)
	for _, s := range r.slots {
		depth += count(s.held) + count(s.handling)
	}
	return depth
}

func count(groups []group) int {
	sum := 0
	for _, g := range groups {
		sum += g.count
	}
	return sum
}

// take splits off the oldest n messages; the rest is in the same memory.
func take(from []group, n int) (taken, rest []group) {
	for len(from) > 0 && n > 0 {
		part := min(from[0].count, n)
		taken = append(taken, group{from[0].arrived, part})
		n -= part
		if from[0].count -= part; from[0].count == 0 {
			from = from[1:]
		}
	}
	return taken, from
}

// quantile of waits, weighted by their messages.
func quantile(waits map[time.Duration]int, share float64) time.Duration {
	all := make([]time.Duration, 0, len(waits))
	total := 0
	for wait, n := range waits {
		all = append(all, wait)
		total += n
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	below := 0
	for _, wait := range all {
		below += waits[wait]
		if float64(below) >= share*float64(total) {
			return wait
		}
	}
	return 0
}
