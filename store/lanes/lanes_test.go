package lanes_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/store/storetest"
)

// Random fleets change at random. After each change every lane comes to a living node with slots, as many to each as
// its slots ask for; a lane is given only when no living node has it, and none moves that need not.
func TestLanesMoveAsLittleAsCanBe(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20_000) {
		dice := rand.New(rand.NewPCG(seed, 1))
		count := topology.LaneCounts[dice.IntN(len(topology.LaneCounts))]
		s := lanes.Set{Queue: "view", Wanted: count, Lanes: topology.Lanes{Routed: count, Consumed: count}}
		owners := map[int]string{}
		for range 3 {
			slots := map[string]int{}
			for n := range dice.IntN(6) {
				slots[fmt.Sprintf("n%d", n)] = dice.IntN(5)
			}
			if why := settle(s, owners, slots); why != "" {
				t.Fatalf("seed %d, %d lanes, slots %v: %s", seed, count, slots, why)
			}
		}
	}
}

// settle moves the lanes of a set until none moves any more, and says what was wrong.
func settle(s lanes.Set, owners map[int]string, slots map[string]int) string {
	leaving, sum := map[int]bool{}, 0
	var hosts []lanes.Host
	alive := map[string]bool{}
	for _, node := range []string{"n0", "n1", "n2", "n3", "n4", "n5"} {
		if n, there := slots[node]; there {
			hosts, alive[node+" 1"] = append(hosts, lanes.Host{Queue: s.Queue, Node: node, NodeTerm: 1, Slots: n}), true
			sum += n
		}
	}
	term, before, moved := int64(1), map[int]string{}, 0
	for lane, node := range owners {
		before[lane] = node
	}
	for range 4 {
		var all []lanes.Lane
		for lane := lanes.Entrance; lane < s.Consumed; lane++ {
			l := lanes.Lane{Queue: s.Queue, Number: lane, Leaving: leaving[lane]}
			if node := owners[lane]; node != "" {
				l.Node, l.NodeTerm = &node, &term
			}
			all = append(all, l)
		}
		taken, left, given := s.Moves(all, hosts, alive)
		for node, some := range given {
			for _, lane := range some {
				if owners[lane] != "" && !slices.Contains(taken, lane) {
					return fmt.Sprintf("lane %d is given to %s, and %s has it", lane, node, owners[lane])
				}
				owners[lane] = node
				moved++
			}
		}
		for _, lane := range taken {
			if owners[lane] == before[lane] && !alive[owners[lane]+" 1"] {
				owners[lane] = ""
			}
		}
		for lane := range leaving { // its owner gives it up
			owners[lane] = ""
		}
		leaving = map[int]bool{}
		for _, lane := range left {
			leaving[lane] = true
		}
	}
	return wrong(s, owners, before, slots, sum, moved)
}

func wrong(s lanes.Set, owners, before map[int]string, slots map[string]int, sum, moved int) string {
	has, had := map[string]int{}, map[string]int{}
	for lane := lanes.Entrance; lane < s.Consumed; lane++ {
		has[owners[lane]]++
		had[before[lane]]++
	}
	n := s.Consumed + 1
	if sum == 0 {
		if has[""] != n {
			return fmt.Sprintf("no node has slots, and lanes are at %v", has)
		}
		return ""
	}
	needed := 0
	for node, k := range slots {
		if least := n * k / sum; has[node] < least || has[node] > least+1 || k == 0 && has[node] > 0 {
			return fmt.Sprintf("%s has %d of %d lanes", node, has[node], n)
		}
		needed += max(0, has[node]-had[node])
	}
	if has[""] > 0 || moved > needed {
		return fmt.Sprintf("%d lanes have no node, and %d moved where %d had to", has[""], moved, needed)
	}
	return ""
}

// Of two processes that believe to own a lane only the one whose term the row has can commit; and no node is given the
// lane while a transaction of its owner is open.
func TestOnlyTheOwnerOfALaneCommits(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	ctx := t.Context()
	node := storetest.MustGet(scaling.Register(ctx, p.DB, scaling.Node{ID: "one", Host: "h", Version: "v", Capacity: 4, Queues: []string{"view"}, FlagSlots: []int64{1}}))(t)
	storetest.Must(t, scaling.Say(ctx, p.DB, node, []scaling.Report{{Planned: scaling.Planned{Queue: "view", Slots: 1}, InLanes: true}}))
	storetest.MustGet(lanes.Want(ctx, p.DB, operatorlog.By{Operator: "test"}, "view", 1))(t)
	lease := storetest.MustGet(store.AcquireLease(ctx, p.DB, "scaler", "test"))(t)
	set := lanes.Of(storetest.MustGet(lanes.Sets(ctx, p.DB))(t), "view")
	storetest.Must(t, lanes.Route(ctx, p.DB, lease, set, 1))
	owned := func() lanes.Lane {
		t.Helper()
		storetest.MustGet(lanes.Assign(ctx, p.DB, lease))(t)
		plans := storetest.MustGet(lanes.Plans(ctx, p.DB, node))(t)
		if len(plans) != 1 || len(plans[0].Own) != 1 {
			t.Fatalf("the node's plan is %+v, want one lane", plans)
		}
		return plans[0].Own[0]
	}
	first := owned()
	open := p.OpenTx()
	storetest.Must(t, lanes.Hold(ctx, open, first))
	released := make(chan error, 1)
	go func() { released <- lanes.Release(ctx, p.DB, first) }()
	p.AwaitLockWaiters(1)
	storetest.Must(t, open.Commit())
	storetest.Must(t, <-released)
	holds := func(l lanes.Lane) error {
		return p.InTx(ctx, func(tx store.Tx) error { return lanes.Hold(ctx, tx, l) })
	}
	if err := holds(first); !errors.Is(err, lanes.ErrLost) {
		t.Errorf("a lane that was given up is held: %v", err)
	}
	second := owned()
	if second.Term == first.Term || holds(second) != nil || !errors.Is(holds(first), lanes.ErrLost) {
		t.Errorf("terms %d and %d; the new owner: %v, the old one: %v", first.Term, second.Term, holds(second), holds(first))
	}
}
