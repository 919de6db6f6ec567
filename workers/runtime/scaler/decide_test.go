package scaler_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/runtime/scaler"
)

// random is a fleet of a few nodes and queues, with assignments that nodes or an earlier leader may have left.
func random(r *rand.Rand) scaling.State {
	s := scaling.State{Assigned: scaling.Slots{}}
	queues := []string{"ledger", "lots", "alert"}
	labels := []string{"fast", "north"}
	some := func(of []string) (chosen []string) {
		for _, one := range of {
			if r.IntN(3) > 0 {
				chosen = append(chosen, one)
			}
		}
		return chosen
	}
	for i := range r.IntN(5) {
		n := scaling.Node{ID: fmt.Sprint("n", i), Capacity: r.IntN(12), Labels: some(labels), Queues: some(queues), Alive: r.IntN(6) > 0, Draining: r.IntN(6) == 0}
		for range n.Queues {
			n.FlagSlots = append(n.FlagSlots, int64(1+r.IntN(2)))
		}
		if r.IntN(5) == 0 {
			n.Paused = some(queues)
		}
		s.Nodes = append(s.Nodes, n)
	}
	for _, queue := range queues {
		p := scaling.Pool{Queue: queue, Managed: r.IntN(3) > 0}
		if r.IntN(5) > 0 {
			n := r.IntN(14)
			p.Desired = &n
		}
		if r.IntN(3) == 0 {
			n := 1 + r.IntN(4)
			p.MaxPerNode = &n
		}
		if r.IntN(4) == 0 {
			p.Labels = some(labels)
		}
		s.Pools = append(s.Pools, p)
		if p.Managed {
			s.Assigned[queue] = map[string]int{}
			for i := range 5 {
				if r.IntN(2) == 0 {
					s.Assigned[queue][fmt.Sprint("n", i)] = 1 + r.IntN(5)
				}
			}
		}
	}
	return s
}

// mayRun is written anew, by the words of the documentation.
func mayRun(n scaling.Node, p scaling.Pool) bool {
	for _, l := range p.Labels {
		if !slices.Contains(n.Labels, l) {
			return false
		}
	}
	return n.Alive && !n.Draining && slices.Contains(n.Queues, p.Queue) && !slices.Contains(n.Paused, p.Queue)
}

// has is what a node runs of a queue before the decision.
func has(s scaling.State, n scaling.Node, p scaling.Pool) int {
	if p.Managed {
		return s.Assigned[p.Queue][n.ID]
	}
	if i := slices.Index(n.Queues, p.Queue); i >= 0 {
		return int(n.FlagSlots[i])
	}
	return 0
}

// left is how much room a node has beside its slots by flags and those decided.
func left(s scaling.State, n scaling.Node, decided scaling.Slots) int {
	room := n.Capacity
	for _, p := range s.Pools {
		switch {
		case p.Desired != nil:
			room -= decided[p.Queue][n.ID]
		case slices.Contains(n.Queues, p.Queue):
			room -= int(n.FlagSlots[slices.Index(n.Queues, p.Queue)])
		}
	}
	return room
}

func TestDecisionsKeepTheLimits(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20_000) {
		s := random(rand.New(rand.NewPCG(seed, 1)))
		decided := scaler.Decide(s)
		if wrong := violations(s, decided); len(wrong) > 0 {
			t.Fatalf("seed %d: %s\nfrom %+v\nto %v", seed, strings.Join(wrong, "; "), s, decided)
		}
		s.Assigned = decided
		for i := range s.Pools {
			s.Pools[i].Managed = s.Pools[i].Desired != nil
		}
		if again := scaler.Decide(s); fmt.Sprint(again) != fmt.Sprint(decided) {
			t.Fatalf("seed %d: from %v it decides %v: it does not stay", seed, decided, again)
		}
	}
}

// Moves keep the limits, move one slot each, and end, with what Decide adds to the room that they make. Then no node
// has two slots more of a queue than another that could take one, and Decide keeps what they made.
func TestSharesComeToAnEnd(t *testing.T) {
	t.Parallel()
	anyQueue := func(string) bool { return true }
	moved := 0
	for seed := range uint64(5_000) {
		s := random(rand.New(rand.NewPCG(seed, 2)))
		for looks := 0; ; looks++ {
			decided := scaler.Decide(s)
			if wrong := violations(s, decided); len(wrong) > 0 || looks > 100 {
				t.Fatalf("seed %d, look %d: %s\nfrom %v\nto %v", seed, looks, strings.Join(wrong, "; "), s.Assigned, decided)
			}
			before, sums, rests := fmt.Sprint(decided), fmt.Sprint(sumsOf(decided)), fmt.Sprint(decided) == fmt.Sprint(s.Assigned)
			shares := scaler.Share(s, decided, anyQueue)
			wrong := slices.DeleteFunc(violations(s, decided), func(w string) bool { return !strings.Contains(w, "room for") && !strings.Contains(w, " slots on ") })
			if len(wrong) > 0 || fmt.Sprint(sumsOf(decided)) != sums || shares != (fmt.Sprint(decided) != before) {
				t.Fatalf("seed %d, look %d: %s\nfrom %s\nto %v", seed, looks, strings.Join(wrong, "; "), before, decided)
			}
			s.Assigned = decided
			for i := range s.Pools {
				s.Pools[i].Managed = s.Pools[i].Desired != nil
			}
			if shares {
				moved++
			} else if rests {
				break
			}
		}
		for _, p := range s.Pools {
			for _, from := range s.Nodes {
				for _, to := range s.Nodes {
					has := s.Assigned[p.Queue][to.ID]
					if p.Desired != nil && mayRun(to, p) && left(s, to, s.Assigned) > 0 && (p.MaxPerNode == nil || has < *p.MaxPerNode) && s.Assigned[p.Queue][from.ID] > has+1 {
						t.Fatalf("seed %d: %s has %d slots on %s and %d on %s:\n%+v", seed, p.Queue, s.Assigned[p.Queue][from.ID], from.ID, has, to.ID, s)
					}
				}
			}
		}
	}
	if moved < 150 {
		t.Errorf("only %d slots moved", moved)
	}
}

func sumsOf(s scaling.Slots) map[string]int {
	sums := map[string]int{}
	for queue := range s {
		sums[queue] = s.Of(queue)
	}
	return sums
}

// A node that joins gets its share of many queues that have one slot each, too, and nothing moves that gains nothing.
func TestShares(t *testing.T) {
	t.Parallel()
	one, five := 1, 5
	queues := []string{"a", "b", "c", "d"}
	flags := []int64{1, 1, 1, 1}
	node := func(id string) scaling.Node {
		return scaling.Node{ID: id, Alive: true, Capacity: 20, Queues: queues, FlagSlots: flags}
	}
	for want, s := range map[string]scaling.State{
		"map[a:map[n:3 o:2]]": {
			Pools: []scaling.Pool{{Queue: "a", Desired: &five, Managed: true}}, Assigned: scaling.Slots{"a": {"n": 5}},
		},
		"map[a:map[o:1] b:map[o:1] c:map[n:1] d:map[n:1]]": {
			Pools:    []scaling.Pool{{Queue: "a", Desired: &one, Managed: true}, {Queue: "b", Desired: &one, Managed: true}, {Queue: "c", Desired: &one, Managed: true}, {Queue: "d", Desired: &one, Managed: true}},
			Assigned: scaling.Slots{"a": {"n": 1}, "b": {"n": 1}, "c": {"n": 1}, "d": {"n": 1}},
		},
	} {
		s.Nodes = []scaling.Node{node("n"), node("o")}
		decided := scaler.Decide(s)
		for scaler.Share(s, decided, func(string) bool { return true }) {
			continue
		}
		if got := fmt.Sprint(decided); got != want {
			t.Errorf("it becomes %s, want %s", got, want)
		}
		if scaler.Share(s, scaler.Decide(s), func(string) bool { return false }) {
			t.Error("a queue that does not rest is moved")
		}
	}
}

func violations(s scaling.State, decided scaling.Slots) (wrong []string) {
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, n := range s.Nodes {
		// By its flags alone a node may have more than its capacity; nothing is added then.
		if room := left(s, n, decided); room < min(0, left(s, n, nil)) {
			add("node %s lacks room for %d", n.ID, -room)
		}
	}
	for _, p := range s.Pools {
		if p.Desired == nil {
			if decided.Of(p.Queue) > 0 {
				add("%s has no desired number and is assigned", p.Queue)
			}
			continue
		}
		sum, kept, could := 0, 0, 0
		for _, n := range s.Nodes {
			slots := decided[p.Queue][n.ID]
			sum += slots
			most := *p.Desired
			if p.MaxPerNode != nil {
				most = min(most, *p.MaxPerNode)
			}
			if slots > 0 && !mayRun(n, p) || slots > most || slots < 0 {
				add("%s has %d slots on %s", p.Queue, slots, n.ID)
			}
			if mayRun(n, p) {
				kept += min(slots, has(s, n, p))
				could += min(has(s, n, p), most, max(0, left(s, n, decided)+slots))
			}
			if sum2 := decided.Of(p.Queue); sum2 < *p.Desired && mayRun(n, p) && slots < most && left(s, n, decided) > 0 {
				add("%s lacks %d slots while %s has room", p.Queue, *p.Desired-sum2, n.ID)
			}
		}
		if sum > *p.Desired {
			add("%s has %d slots, want %d", p.Queue, sum, *p.Desired)
		}
		if kept < min(could, *p.Desired) {
			add("%s keeps %d of the %d slots that could stay", p.Queue, kept, could)
		}
	}
	return wrong
}

func TestWhySlotsHaveNoPlace(t *testing.T) {
	t.Parallel()
	four, one := 4, 1
	pool := scaling.Pool{Queue: "ledger", Desired: &four}
	node := scaling.Node{ID: "n", Alive: true, Capacity: 2, Queues: []string{"ledger"}, FlagSlots: []int64{1}}
	for want, change := range map[string]func(p *scaling.Pool, n *scaling.Node){
		"4 of 4 have no place: no node runs it":            func(_ *scaling.Pool, n *scaling.Node) { n.Alive = false },
		"every node that runs it drains":                   func(_ *scaling.Pool, n *scaling.Node) { n.Draining = true },
		"no node that runs it has the labels [fast]":       func(p *scaling.Pool, _ *scaling.Node) { p.Labels = []string{"fast"} },
		"3 of 4 have no place: every node has 1, its most": func(p *scaling.Pool, _ *scaling.Node) { p.MaxPerNode = &one },
		"2 of 4 have no place: the nodes are full":         func(*scaling.Pool, *scaling.Node) {},
		"the leader has not assigned it yet":               func(p *scaling.Pool, _ *scaling.Node) { p.Revision = 1 },
	} {
		p, n := pool, node
		change(&p, &n)
		s := scaling.State{Pools: []scaling.Pool{p}, Nodes: []scaling.Node{n}}
		s.Assigned = scaler.Decide(s)
		if got := scaler.Why(s, "ledger"); !strings.Contains(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}
