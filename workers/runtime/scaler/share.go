package scaler

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/composerp/composerp/store/scaling"
)

// # Shares
//
// Decide moves no slot that need not move, so a node that joins, or comes back from a drain, would stay idle until
// something changes. Once a queue has rested for Rest, the leader moves one of its slots to another node:
//
//   - from a node that has at least two more slots of the queue, or else
//   - from one that has more of them, and runs at least two slots more in all.
//
// Both changes of a move are one transaction. The slot begins on the other node while the first one finishes what the
// broker has sent ahead to it, as with every change: slots that drain come on top.
//
// Invariants:
//
//   - At most one slot of the fleet moves within Rest. None moves of a queue that is paused, whose desired number,
//     nodes or assignments have changed within Rest, or whose nodes do not all run just what is assigned to them: the
//     slot that moved before has drained.
//   - A move lowers the sum of the squares of a queue's slots on its nodes, or leaves it and lowers that of all slots.
//     So moves end, and no slot comes back: there is no flapping. Room that a move makes may let Decide add a slot that
//     had no place; that ends too, with what is desired.
//   - What a node may run, its capacity and the pool's limits hold as in Decide, and Decide keeps what has moved.
//
// A crash before the commit leaves all as it was, one after it what any assignment leaves. A new leader remembers no
// rest: it waits for a whole one.

// shareRest is Rest where a node does not say otherwise.
const shareRest = 10 * time.Second

// renewedWithin is how long ago a node that counts as there has renewed its lease: it does so each second.
const renewedWithin = 3.0

// sharer moves slots after a rest.
type sharer struct {
	rest  time.Duration
	seen  map[string]string    // by queue: what a change of would begin its rest anew
	since map[string]time.Time // by queue: when its rest began
	moved time.Time
}

func newSharer(rest time.Duration) *sharer {
	return &sharer{rest: rest, seen: map[string]string{}, since: map[string]time.Time{}}
}

// decide is Decide, and a move where the time for one has come.
func (h *sharer) decide(now time.Time, s scaling.State, reports []scaling.Report) scaling.Slots {
	slots := Decide(s)
	h.watch(now, s, slots, reports)
	rested := func(queue string) bool { return now.Sub(h.since[queue]) >= h.rest }
	if now.Sub(h.moved) >= h.rest && Share(s, slots, rested) {
		h.moved = now
	}
	return slots
}

// watch begins the rest of queues anew that are not at rest.
func (h *sharer) watch(now time.Time, s scaling.State, slots scaling.Slots, reports []scaling.Report) {
	var nodes strings.Builder
	there := true
	for _, n := range s.Nodes {
		fmt.Fprintln(&nodes, n.ID, n.Term, n.Alive, n.Draining, n.Paused)
		there = there && (!n.Alive || n.SilentFor < renewedWithin)
	}
	for _, p := range s.Pools {
		is := fmt.Sprint(nodes.String(), p.Revision, p.Paused, s.Assigned[p.Queue])
		settled := there && Unsettled(s, reports, []string{p.Queue}) == "" && fmt.Sprint(slots[p.Queue]) == fmt.Sprint(s.Assigned[p.Queue])
		if is != h.seen[p.Queue] || !settled {
			h.seen[p.Queue], h.since[p.Queue] = is, now
		}
	}
}

// Share moves one slot of what was decided to a node with fewer, of a queue that may be moved, and reports whether it
// did.
func Share(s scaling.State, slots scaling.Slots, may func(queue string) bool) bool {
	d := deciding{State: s, slots: slots, room: map[string]int{}}
	load := map[string]int{}
	for _, n := range s.Nodes {
		load[n.ID] = flagged(s, n)
		for _, of := range slots {
			load[n.ID] += of[n.ID]
		}
		d.room[n.ID] = n.Capacity - load[n.ID]
	}
	var queue, from, to string
	widest := 1
	try := func(difference func(p scaling.Pool, a, b string) int) {
		for _, p := range s.Pools {
			if p.Desired == nil || p.Paused || !may(p.Queue) {
				continue
			}
			for _, a := range d.hosts(p) {
				for _, b := range d.hosts(p) {
					if by := difference(p, a.ID, b.ID); by > widest && d.room[b.ID] > 0 && slots[p.Queue][b.ID] < most(p) {
						widest, queue, from, to = by, p.Queue, a.ID, b.ID
					}
				}
			}
		}
	}
	try(func(p scaling.Pool, a, b string) int { return slots[p.Queue][a] - slots[p.Queue][b] })
	if queue == "" {
		try(func(p scaling.Pool, a, b string) int {
			if slots[p.Queue][a] <= slots[p.Queue][b] {
				return 0
			}
			return load[a] - load[b]
		})
	}
	if queue == "" {
		return false
	}
	slots[queue][to]++
	if slots[queue][from]--; slots[queue][from] == 0 {
		delete(slots[queue], from)
	}
	return true
}

// Planned is how many slots a node is to run of a queue.
func Planned(s scaling.State, n scaling.Node, queue string) int {
	p := s.Pool(queue)
	flags, _ := n.Offers(queue)
	switch {
	case n.Draining, p.Paused, slices.Contains(n.Paused, queue):
		return 0
	case p.Managed:
		return s.Assigned[queue][n.ID]
	}
	return flags
}

// Unsettled says what of some queues is not yet as it is to be; "" when all is.
func Unsettled(s scaling.State, reports []scaling.Report, queues []string) string {
	var missing []string
	living := 0
	for _, n := range s.Nodes {
		if !n.Alive {
			continue
		}
		living++
		for _, queue := range queues {
			if _, offered := n.Offers(queue); !offered {
				continue
			}
			i := slices.IndexFunc(reports, func(r scaling.Report) bool { return r.Node == n.ID && r.Queue == queue })
			want := Planned(s, n, queue)
			if i < 0 || reports[i].Running != want || reports[i].Slots != want {
				missing = append(missing, fmt.Sprintf("node %s does not run %d slots of %s", n.ID, want, queue))
			}
		}
	}
	for _, queue := range queues {
		if p := s.Pool(queue); p.Assigned != p.Revision && p.Revision != 0 && living > 0 {
			missing = append(missing, "no leader has assigned the slots of "+queue)
		}
	}
	return strings.Join(missing, ", ")
}
