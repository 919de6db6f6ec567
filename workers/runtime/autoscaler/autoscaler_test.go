package autoscaler_test

import (
	"math/rand/v2"
	"testing"
	"time"

	. "github.com/composerp/composerp/workers/runtime/autoscaler"
)

var start = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// ten is a curve of ten messages a second and slot, whatever the batch.
func ten() Curve {
	var c Curve
	c.Add(1, 0.1)
	c.Add(9, 0.9)
	return c
}

// feed is a queue of the tests: each step it gives the autoscaler a sample, and carries out the decision.
type feed struct {
	a       Autoscaler
	p       Policy
	at      time.Time
	desired int
}

func newFeed(p Policy, desired int) *feed { return &feed{p: p, at: start, desired: desired} }

// step has messages come and leave in an Interval, and leaves depth.
func (f *feed) step(s Sample) Decision {
	f.at = f.at.Add(Interval)
	s.At, s.Desired = f.at, f.desired
	if s.Curve == (Curve{}) {
		s.Curve = ten()
	}
	if s.Running == 0 {
		s.Running = f.desired
	}
	d := f.a.Decide(f.p, s)
	f.desired = d.Desired
	return d
}

// steps repeats a step for so long, and returns the last decision.
func (f *feed) steps(length time.Duration, s Sample) (d Decision) {
	for range int(length / Interval) {
		d = f.step(s)
	}
	return d
}

// flow is a sample of messages that come and are handled at a rate a second.
func flow(rate float64) Sample { return Sample{Acked: int(rate * Interval.Seconds())} }

// 40 messages a second want 5 slots of 10 a second at 80 %; a backlog of 1,200 wants two more.
func TestWantedIsArrivalsAndBacklog(t *testing.T) {
	t.Parallel()
	f := newFeed(Policy{Min: 1, Max: 50}, 20)
	if d := f.steps(5*time.Minute, flow(40)); d.Wanted != 5 {
		t.Errorf("arrivals alone want 5, got %+v", d)
	}
	f = newFeed(Policy{Min: 1, Max: 50}, 20)
	backlog := flow(40)
	backlog.Depth = 1200
	if d := f.steps(5*time.Minute, backlog); d.Wanted != 7 {
		t.Errorf("with the backlog 7 are wanted, got %+v", d)
	}
	f = newFeed(Policy{Min: 1, Max: 50, Drain: 10 * time.Second}, 20)
	if d := f.steps(5*time.Minute, backlog); d.Wanted != 17 {
		t.Errorf("within ten seconds 17 are wanted, got %+v", d)
	}
}

// Messages that come back out of retry queues are no arrivals.
func TestReturnsAreNoArrivals(t *testing.T) {
	t.Parallel()
	f := newFeed(Policy{Min: 1, Max: 50}, 20)
	s := flow(40)
	s.Returned = 100 // 20 a second
	if d := f.steps(5*time.Minute, s); d.Arrivals < 19.9 || d.Arrivals > 20.1 {
		t.Errorf("20 new ones come a second, got %+v", d)
	}
}

func TestStepsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFeed(Policy{Min: 1, Max: 40}, 1)
	storm := flow(10)
	storm.Depth = 100000
	f.step(storm) // neither arrivals nor throughput are known yet
	var got []int
	for range 12 {
		got = append(got, f.step(storm).Desired)
	}
	// From 1 by four, then by four, then twice; a step at most every ten seconds.
	for i, want := range []int{5, 5, 10, 10, 20, 20, 40, 40, 40, 40, 40, 40} {
		if got[i] != want {
			t.Fatalf("want 5, 10, 20 and 40 with pauses, got %v", got)
		}
	}
	f.steps(2*time.Minute, storm)
	got = nil
	var bounds []Bound
	for range 60 {
		d := f.step(flow(1))
		got, bounds = append(got, d.Desired), append(bounds, d.Bound)
	}
	var moves []int
	for i := 1; i < len(got); i++ {
		if got[i] != got[i-1] {
			moves = append(moves, got[i])
			if i < 22 {
				t.Errorf("a step down came %v after the backlog, within the window: %v", time.Duration(i)*Interval, got)
			}
		}
	}
	if len(moves) < 4 || moves[0] != 20 || moves[1] != 10 || moves[2] != 5 || moves[3] != 3 {
		t.Errorf("want halves, got %v (%v)", moves, bounds)
	}
}

func TestLimitsAct(t *testing.T) {
	t.Parallel()
	big := Sample{Acked: 50, Depth: 100000}
	for _, c := range []struct {
		name    string
		p       Policy
		from    int
		sample  Sample
		desired int
		bound   Bound
	}{
		{"max", Policy{Min: 1, Max: 3}, 2, big, 3, ByMax},
		{"max that an operator lowered", Policy{Min: 1, Max: 3}, 9, big, 3, ByMax},
		{"min that an operator raised", Policy{Min: 6, Max: 9}, 2, flow(1), 6, ByMin},
		{"sessions of the database", Policy{Min: 1, Max: 9, Room: 4}, 4, big, 4, ByRoom},
		{"more than the database has sessions for", Policy{Min: 6, Max: 9, Room: 4}, 6, big, 4, ByRoom},
		{"a slot for each lane", Policy{Min: 1, Max: 9, Lanes: 4}, 4, big, 4, ByLanes},
		{"fewer lanes than before", Policy{Min: 1, Max: 32, Lanes: 8}, 20, big, 8, ByLanes},
		{"fewer lanes than min", Policy{Min: 6, Max: 9, Lanes: 4}, 6, big, 4, ByLanes},
		{"max below min", Policy{Min: 3, Max: 1}, 5, big, 3, ByMax},
		{"nothing set", Policy{}, 1, big, 0, ByMax},
	} {
		f := newFeed(c.p, c.from)
		f.step(c.sample)
		f.desired = c.from
		if d := f.step(c.sample); d.Desired != c.desired || d.Bound != c.bound {
			t.Errorf("%s: want %d by %q, got %+v", c.name, c.desired, c.bound, d)
		}
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	big := Sample{Acked: 100, Depth: 100000}
	with := func(change func(*Sample)) Sample { s := big; change(&s); return s }
	for _, c := range []struct {
		sample Sample
		hold   Hold
	}{
		{with(func(s *Sample) { s.Away = true }), DependencyAway},
		{with(func(s *Sample) { s.Blocked = true }), BrokerBlocked},
		{with(func(s *Sample) { s.Quarantined = true }), Quarantine},
		{with(func(s *Sample) { s.Switching = true }), LanesSwitching},
		{with(func(s *Sample) { s.Retried = 31 }), RetryStorm},
		{with(func(s *Sample) { s.Retried = 29 }), NoHold},
	} {
		f := newFeed(Policy{Min: 1, Max: 50}, 2)
		f.step(c.sample) // no outcomes are known before the first interval
		f.desired = 2
		d := f.steps(30*time.Second, c.sample)
		if d.Hold != c.hold || (d.Desired == 2) != (c.hold != NoHold) {
			t.Errorf("want %q, got %+v", c.hold, d)
		}
	}
	f := newFeed(Policy{Min: 1, Max: 50}, 2)
	f.a.Decide(f.p, Sample{At: start, Desired: 2, Running: 2, Depth: 1000})
	if d := f.a.Decide(f.p, Sample{At: start.Add(Interval), Desired: 2, Running: 2, Depth: 1000}); d.Hold != NotMeasured || d.Desired != 2 {
		t.Errorf("without a batch no rate is known, got %+v", d)
	}
}

// A queue that sleeps is woken by a switch of its lanes, which takes a slot, and sleeps again after it.
func TestASwitchOfLanesWakesAQueue(t *testing.T) {
	t.Parallel()
	f := newFeed(Policy{Min: 0, Max: 8, Lanes: 16}, 0)
	f.step(Sample{})
	if d := f.step(Sample{Switching: true}); d.Desired != 1 {
		t.Errorf("asleep, while lanes are switched, it gets %d slots, want 1", d.Desired)
	}
	if d := f.steps(time.Minute, Sample{Switching: true}); d.Desired != 1 || d.Hold != LanesSwitching {
		t.Errorf("while the switch lasts: %+v, want 1 slot", d)
	}
	if d := f.steps(10*time.Minute, Sample{}); d.Desired != 0 {
		t.Errorf("after the switch it has %d slots, want none", d.Desired)
	}
}

// Two slots do what one did: the step is taken back, and tried again after ten minutes, then twenty.
func TestAStepThatBroughtNothingIsTakenBack(t *testing.T) {
	t.Parallel()
	f := newFeed(Policy{Min: 1, Max: 8}, 1)
	saturated := func() Sample {
		return Sample{Acked: 50, Depth: 100000, Running: f.desired, Busy: time.Duration(f.desired) * Interval}
	}
	var ups []time.Duration
	held := false
	for range int(time.Hour / Interval) {
		before := f.desired
		d := f.step(saturated())
		if d.Desired > before {
			ups = append(ups, f.at.Sub(start))
		}
		held = held || d.Hold == DownstreamSaturated && d.Desired == 1
	}
	if !held || f.desired != 1 {
		t.Errorf("it ends with %d slots, held: %t", f.desired, held)
	}
	trials := 0
	for i := 1; i < len(ups); i++ {
		if ups[i]-ups[i-1] > 9*time.Minute {
			trials++
		}
	}
	if trials != 2 {
		t.Errorf("want two trials within the hour, after ten and twenty minutes, got steps up at %v", ups)
	}
}

// A step that brings what it should is followed by the next.
func TestAStepThatBringsSomethingIsKept(t *testing.T) {
	t.Parallel()
	f := newFeed(Policy{Min: 1, Max: 16}, 2)
	d := Decision{}
	for range 60 {
		d = f.step(Sample{Acked: 50 * f.desired, Depth: 100000, Running: f.desired, Busy: time.Duration(f.desired) * Interval})
	}
	if d.Desired != 16 || d.Hold != NoHold || d.Gain < 0.9 {
		t.Errorf("want 16 and a gain of 1, got %+v", d)
	}
}

// Batches that take longer than an interval acknowledge nothing in most of them. A step that brings what it should is
// kept all the same, and one that brings nothing is taken back.
func TestStepsWithLongBatches(t *testing.T) {
	t.Parallel()
	const batch, seconds = 100, 12
	for name, c := range map[string]struct {
		shared bool // the slots share what one can do
		most   int
		least  int
	}{"each its own": {false, 8, 8}, "shared": {true, 1, 1}} {
		f := newFeed(Policy{Min: 1, Max: 8, Batch: batch}, 1)
		done := make([]float64, 8) // of each slot's batch
		d := Decision{}
		peak := 0
		for range 360 {
			s := Sample{Depth: 1000000, Running: f.desired, Busy: time.Duration(f.desired) * Interval}
			speed := 1.0
			if c.shared {
				speed /= float64(f.desired)
			}
			s.Curve.Add(batch, seconds/speed)
			for i := range f.desired {
				if done[i] += speed * Interval.Seconds() / seconds; done[i] >= 1 {
					done[i]--
					s.Acked += batch
				}
			}
			d = f.step(s)
			peak = max(peak, d.Desired)
		}
		if d.Desired < c.least || peak > 8 || c.shared && (d.Desired > c.most || d.Hold != DownstreamSaturated) || !c.shared && d.Hold != NoHold {
			t.Errorf("%s: want %d to %d slots, got %+v", name, c.least, c.most, d)
		}
	}
}

// A sleeping queue wakes on the first message, and one that is let sleep does after the window.
func TestSleep(t *testing.T) {
	t.Parallel()
	f := newFeed(Policy{Min: 0, Max: 4}, 1)
	if d := f.steps(10*time.Minute, Sample{}); d.Desired != 0 {
		t.Fatalf("an empty queue may sleep, got %+v", d)
	}
	if d := f.step(Sample{Depth: 1}); d.Desired != 1 {
		t.Errorf("the first message wakes it, got %+v", d)
	}
	f = newFeed(Policy{Min: 1, Max: 4}, 1)
	if d := f.steps(10*time.Minute, Sample{}); d.Desired != 1 {
		t.Errorf("min is 1, got %+v", d)
	}
}

// A leader that has just begun takes nothing away before it has watched for the window.
func TestANewLeaderWatchesFirst(t *testing.T) {
	t.Parallel()
	f := newFeed(Policy{Min: 1, Max: 50}, 20)
	for f.at.Before(start.Add(Window)) {
		if d := f.step(flow(1)); d.Desired != 20 {
			t.Fatalf("after %v it took slots away: %+v", f.at.Sub(start), d)
		}
	}
	if d := f.steps(10*time.Second, flow(1)); d.Desired != 10 {
		t.Errorf("after the window half go, got %+v", d)
	}
}

// Whatever comes, a number stays within its bounds and moves by steps and pauses; and the
// time to the next move is true.
func TestWhateverComesNumbersKeepTheirBounds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		p := Policy{Min: random.IntN(3), Max: 1 + random.IntN(40), Drain: time.Duration(random.IntN(120)) * time.Second}
		f := newFeed(p, max(p.Min, min(1+random.IntN(40), p.Max)))
		p.Max = max(p.Max, p.Min)
		var moved, raised time.Time
		for range 500 {
			before := f.desired
			s := Sample{Depth: random.IntN(1 + random.IntN(5000)), Acked: random.IntN(1 + random.IntN(500)), Running: random.IntN(before + 1),
				Busy: time.Duration(random.IntN(before+1)) * Interval, Away: random.IntN(20) == 0, Retried: random.IntN(5)}
			d := f.step(s)
			switch {
			case d.Desired < p.Min || d.Desired > p.Max:
				t.Fatalf("seed %d: %d is not between %d and %d: %+v", seed, d.Desired, p.Min, p.Max, d)
			case d.Desired > max(2*before, before+4) || d.Desired < before/2:
				t.Fatalf("seed %d: from %d to %d is no step: %+v", seed, before, d.Desired, d)
			case d.Desired > before && before > 0 && !raised.IsZero() && f.at.Sub(raised) < UpPause:
				t.Fatalf("seed %d: two steps up within %v", seed, f.at.Sub(raised))
			case d.Desired < before && !moved.IsZero() && f.at.Sub(moved) < DownPause:
				t.Fatalf("seed %d: a step down %v after a move", seed, f.at.Sub(moved))
			case d.Desired != before && d.Hold != NoHold && d.Hold != DownstreamSaturated && before > 0:
				t.Fatalf("seed %d: it moved while it holds: %+v", seed, d)
			}
			if d.Desired > before {
				raised = f.at
			}
			if d.Desired != before {
				moved = f.at
			}
		}
	}
}
