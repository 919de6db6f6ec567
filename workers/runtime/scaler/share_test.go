package scaler

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/composerp/composerp/store/scaling"
)

// simulated is a fleet of one queue whose nodes come, go, drain and follow late.
type simulated struct {
	scaling.State
	reports []scaling.Report
	random  *rand.Rand
}

// step lets nodes follow what is assigned, some of them, and sometimes an operator or a node act. It reports whether
// the fleet was at rest.
func (f *simulated) step() (atRest bool) {
	atRest = true
	for i := range f.Nodes {
		n, r := &f.Nodes[i], &f.reports[i]
		want := Planned(f.State, *n, "q")
		if r.Running != want && f.random.IntN(3) == 0 {
			r.Running, r.Slots = want, want
		}
		atRest = atRest && (!n.Alive || r.Running == want)
	}
	if f.random.IntN(60) == 0 {
		atRest = false
		n := &f.Nodes[f.random.IntN(len(f.Nodes))]
		switch f.random.IntN(4) {
		case 0:
			n.Alive, n.Term = !n.Alive, n.Term+1
		case 1:
			n.Draining = !n.Draining
		case 2:
			desired := f.random.IntN(20)
			f.Pools[0].Desired = &desired
			f.Pools[0].Revision++
		case 3:
			f.Pools[0].Paused = !f.Pools[0].Paused
		}
	}
	return atRest
}

// In random fleets a slot moves only after a rest in which nothing has changed, one at a time, and a fleet that is left
// alone comes to rest with its slots spread.
func TestSlotsMoveSeldomAndOneAtATime(t *testing.T) {
	t.Parallel()
	const rest = 10 * time.Second
	moves := 0
	for seed := range uint64(300) {
		desired := 9
		f := simulated{State: scaling.State{Assigned: scaling.Slots{}, Pools: []scaling.Pool{{Queue: "q", Desired: &desired}}}, random: rand.New(rand.NewPCG(seed, 3))}
		for i := range 2 + f.random.IntN(3) {
			f.Nodes = append(f.Nodes, scaling.Node{ID: fmt.Sprint("n", i), Alive: i == 0, Capacity: 30, Queues: []string{"q"}, FlagSlots: []int64{1}})
			f.reports = append(f.reports, scaling.Report{Node: fmt.Sprint("n", i), Planned: scaling.Planned{Queue: "q"}})
		}
		sharer := newSharer(rest)
		now := time.Unix(0, 0)
		changed := now
		look := func() {
			decided, shared := Decide(f.State), sharer.decide(now, f.State, f.reports)
			if fmt.Sprint(decided["q"]) != fmt.Sprint(f.Assigned["q"]) {
				changed = now
			}
			if fmt.Sprint(decided) != fmt.Sprint(shared) {
				moves++
				if quiet := now.Sub(changed); quiet < rest {
					t.Fatalf("seed %d: a slot moves %s after a change: %v to %v", seed, quiet, decided, shared)
				}
				differences := 0
				for _, n := range f.Nodes {
					differences += max(decided["q"][n.ID]-shared["q"][n.ID], shared["q"][n.ID]-decided["q"][n.ID])
				}
				if differences != 2 {
					t.Fatalf("seed %d: more than one slot moves: %v to %v", seed, decided, shared)
				}
				changed = now
			}
			f.Assigned, f.Pools[0].Assigned, f.Pools[0].Managed = shared, f.Pools[0].Revision, true
		}
		for range 600 {
			if !f.step() {
				changed = now
			}
			look()
			now = now.Add(time.Second)
		}
		for i := range f.Nodes { // left alone
			f.Nodes[i].Alive, f.Nodes[i].Draining = true, false
		}
		f.Pools[0].Paused = false
		settle := func() {
			for i, n := range f.Nodes {
				f.reports[i].Running = Planned(f.State, n, "q")
				f.reports[i].Slots = f.reports[i].Running
			}
		}
		for range 400 {
			settle()
			look()
			now = now.Add(time.Second)
		}
		least, most := 100, 0
		for _, n := range f.Nodes {
			least, most = min(least, f.Assigned["q"][n.ID]), max(most, f.Assigned["q"][n.ID])
		}
		if most-least > 1 {
			t.Fatalf("seed %d: left alone it stays at %v", seed, f.Assigned)
		}
	}
	if moves < 300 {
		t.Errorf("only %d slots moved", moves)
	}
}
