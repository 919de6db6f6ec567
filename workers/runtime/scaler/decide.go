package scaler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/composerp/composerp/store/scaling"
)

// Decide says how many slots each node runs of the queues that have a desired number.
//
// What a node runs and may go on running stays; a queue with too many slots loses them where it has most, one by one;
// one with too few gets them where it has fewest, all queues in turn, those with the fewest possible nodes first. So
// no slot moves that need not, and while a queue lacks slots, no node that may run it has room.
func Decide(s scaling.State) scaling.Slots {
	d := deciding{State: s, slots: scaling.Slots{}, room: map[string]int{}}
	for _, n := range s.Nodes {
		d.room[n.ID] = n.Capacity - flagged(s, n)
	}
	var pools []scaling.Pool
	for _, p := range s.Pools {
		if p.Desired != nil {
			pools = append(pools, p)
			d.keep(p)
		}
	}
	slices.SortStableFunc(pools, func(a, b scaling.Pool) int { return cmp.Compare(len(d.hosts(a)), len(d.hosts(b))) })
	for placed := true; placed; {
		placed = false
		for _, p := range pools {
			placed = d.add(p) || placed
		}
	}
	return d.slots
}

type deciding struct {
	scaling.State
	slots scaling.Slots
	room  map[string]int // by node
}

// flagged is how many slots a node runs by its flags: of queues that have no desired number.
func flagged(s scaling.State, n scaling.Node) (sum int) {
	for i, queue := range n.Queues {
		if s.Pool(queue).Desired == nil {
			sum += int(n.FlagSlots[i])
		}
	}
	return sum
}

// mayRun tells whether a node may have slots of a pool at all.
func mayRun(n scaling.Node, p scaling.Pool) bool {
	_, offered := n.Offers(p.Queue)
	labelled := !slices.ContainsFunc(p.Labels, func(l string) bool { return !slices.Contains(n.Labels, l) })
	return offered && labelled && n.Alive && !n.Draining && !slices.Contains(n.Paused, p.Queue)
}

func (d *deciding) hosts(p scaling.Pool) []scaling.Node {
	return slices.DeleteFunc(slices.Clone(d.Nodes), func(n scaling.Node) bool { return !mayRun(n, p) })
}

// most is how many slots of a pool its limit lets a node have.
func most(p scaling.Pool) int {
	if p.MaxPerNode == nil {
		return *p.Desired
	}
	return min(*p.Desired, *p.MaxPerNode)
}

// keep keeps of a pool what its nodes have, as far as they may and no more than is desired. What the leader has not
// assigned yet, the nodes run by their flags.
func (d *deciding) keep(p scaling.Pool) {
	kept := map[string]int{}
	sum := 0
	for _, n := range d.hosts(p) {
		has := d.Assigned[p.Queue][n.ID]
		if !p.Managed {
			has, _ = n.Offers(p.Queue)
		}
		if has = min(has, most(p), max(0, d.room[n.ID])); has > 0 {
			kept[n.ID] = has
			sum += has
		}
	}
	for ; sum > *p.Desired; sum-- {
		ids := slices.Sorted(maps.Keys(kept))
		from := slices.MaxFunc(ids, func(a, b string) int { return cmp.Compare(kept[a], kept[b]) })
		if kept[from]--; kept[from] == 0 {
			delete(kept, from)
		}
	}
	for id, n := range kept {
		d.room[id] -= n
	}
	d.slots[p.Queue] = kept
}

// add gives a pool that lacks slots one more, and reports whether it could.
func (d *deciding) add(p scaling.Pool) bool {
	if d.slots.Of(p.Queue) >= *p.Desired {
		return false
	}
	has := d.slots[p.Queue]
	open := slices.DeleteFunc(d.hosts(p), func(n scaling.Node) bool { return d.room[n.ID] <= 0 || has[n.ID] >= most(p) })
	if len(open) == 0 {
		return false
	}
	to := slices.MinFunc(open, func(a, b scaling.Node) int {
		return cmp.Or(cmp.Compare(has[a.ID], has[b.ID]), cmp.Compare(d.room[b.ID], d.room[a.ID]), cmp.Compare(a.ID, b.ID))
	})
	has[to.ID]++
	d.room[to.ID]--
	return true
}

// Why says in a few words why a queue has fewer slots than desired; "" when it has them, or nothing is desired.
func Why(s scaling.State, queue string) string {
	p := s.Pool(queue)
	if p.Desired == nil || *p.Desired == 0 {
		return ""
	}
	lacking := *p.Desired - s.Assigned.Of(queue)
	if lacking <= 0 {
		return ""
	}
	if p.Assigned != p.Revision {
		return "the leader has not assigned it yet"
	}
	return fmt.Sprintf("%d of %d have no place: %s", lacking, *p.Desired, obstacle(s, p))
}

// obstacle says why no node takes one more slot of a pool, the most distant reason first.
func obstacle(s scaling.State, p scaling.Pool) string {
	var offering, running, labelled, full int
	for _, n := range s.Nodes {
		if _, offered := n.Offers(p.Queue); !offered || !n.Alive {
			continue
		}
		offering++
		if n.Draining || slices.Contains(n.Paused, p.Queue) {
			continue
		}
		running++
		if !mayRun(n, p) {
			continue
		}
		labelled++
		if p.MaxPerNode == nil || s.Assigned[p.Queue][n.ID] < *p.MaxPerNode {
			full++
		}
	}
	switch {
	case offering == 0:
		return "no node runs it; start one with `composerp worker run " + p.Queue + "`"
	case running == 0:
		return "every node that runs it drains or is paused"
	case labelled == 0:
		return fmt.Sprintf("no node that runs it has the labels %v", []string(p.Labels))
	case full == 0:
		return fmt.Sprintf("every node has %d, its most for one node", *p.MaxPerNode)
	}
	return "the nodes are full; start another, or one with a higher --max-slots"
}
