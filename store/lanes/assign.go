package lanes

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// host is a node that can handle lanes of a queue, with the slots that it has for them.
type host struct {
	Queue    string
	Node     string
	NodeTerm int64 `db:"node_term"`
	Slots    int
}

// Assign gives lanes to nodes, in proportion to their slots, and moves as few as that takes: a lane that is to move is
// first given up by its owner. It reports whether anything changed. ErrNotLeader: the lease has another term.
func Assign(ctx context.Context, db *store.DB, lease store.Lease) (changed bool, err error) {
	err = db.InTx(ctx, func(tx store.Tx) error {
		changed = false
		if err := store.HoldLease(ctx, tx, lease); err != nil {
			return err
		}
		var sets []Set
		if err := pg.Select(ctx, tx, &sets, readSets); err != nil || len(sets) == 0 {
			return err
		}
		var hosts []host
		if err := pg.Select(ctx, tx, &hosts, readHosts); err != nil {
			return err
		}
		alive, err := pg.Set[string](ctx, tx, "reading the living nodes", aliveOwners)
		if err != nil {
			return err
		}
		for _, s := range sets {
			if _, err := pg.Exec(ctx, tx, addLanes, s.Queue, numbers(s.lanes())); err != nil {
				return err
			}
		}
		var all []Lane
		if err := pg.Select(ctx, tx, &all, lockLanes); err != nil {
			return err
		}
		for _, s := range sets {
			m := s.moves(all, hosts, alive)
			if err := m.write(ctx, tx, s.Queue); err != nil {
				return err
			}
			changed = changed || m.any()
		}
		if !changed {
			return nil
		}
		return pg.Write(ctx, tx, "telling the nodes", notifyLanes)
	})
	if err != nil {
		return false, fmt.Errorf("assigning lanes: %w", err)
	}
	return changed, nil
}

// lanes are those of a set that are to have an owner.
func (s Set) lanes() (numbers []int) {
	if s.Routed > 0 && (s.Switching() || s.Wanted > 0) {
		numbers = append(numbers, Entrance)
	}
	for lane := range s.Consumed {
		numbers = append(numbers, lane)
	}
	return numbers
}

// moves are the changes of owners of one queue's lanes.
type moves struct {
	take, leave []int
	give        map[host][]int
}

func (m moves) any() bool { return len(m.take)+len(m.leave)+len(m.give) > 0 }

// moves decides which lanes are taken from dead nodes, which are to be given up, and which of those without an owner
// are given to whom.
func (s Set) moves(all []Lane, hosts []host, alive map[string]bool) moves {
	m := moves{give: map[host][]int{}}
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(h host) bool { return h.Queue != s.Queue || h.Slots == 0 })
	wanted, has, free := s.lanes(), map[string][]int{}, []int{}
	for _, l := range all {
		if l.Queue != s.Queue {
			continue
		}
		isWanted := slices.Contains(wanted, l.Number)
		switch {
		case l.Node != nil && !alive[fmt.Sprintf("%s %d", *l.Node, *l.NodeTerm)]:
			m.take = append(m.take, l.Number)
			if isWanted {
				free = append(free, l.Number)
			}
		case l.Node == nil && isWanted:
			free = append(free, l.Number)
		case l.Node == nil || l.Leaving:
		case !isWanted || !slices.ContainsFunc(hosts, func(h host) bool { return h.Node == *l.Node }):
			m.leave = append(m.leave, l.Number)
		default:
			has[*l.Node] = append(has[*l.Node], l.Number)
		}
	}
	share := shares(len(wanted), hosts, has)
	for _, h := range hosts {
		own := has[h.Node]
		for ; len(own) > share[h.Node]; own = own[:len(own)-1] {
			m.leave = append(m.leave, own[len(own)-1])
		}
		if n := min(share[h.Node]-len(own), len(free)); n > 0 {
			m.give[h], free = free[:n], free[n:]
		}
	}
	return m
}

// shares are how many of the lanes each node is to have: in proportion to its slots. What the division leaves goes
// to those that have it already, then to the largest remainders.
func shares(lanes int, hosts []host, has map[string][]int) map[string]int {
	all, left, share := 0, lanes, map[string]int{}
	if len(hosts) == 0 {
		return share
	}
	for _, h := range hosts {
		all += h.Slots
	}
	for _, h := range hosts {
		share[h.Node] = lanes * h.Slots / all
		left -= share[h.Node]
	}
	more := func(h host) int { return min(1, max(0, len(has[h.Node])-share[h.Node])) }
	for _, h := range slices.SortedFunc(slices.Values(hosts), func(a, b host) int {
		return cmp.Or(cmp.Compare(more(b), more(a)), cmp.Compare(lanes*b.Slots%all, lanes*a.Slots%all), cmp.Compare(a.Node, b.Node))
	})[:left] {
		share[h.Node]++
	}
	return share
}

func (m moves) write(ctx context.Context, tx store.Tx, queue string) error {
	if len(m.take) > 0 {
		if _, err := pg.Exec(ctx, tx, takeLanes, queue, numbers(m.take)); err != nil {
			return err
		}
	}
	if len(m.leave) > 0 {
		if _, err := pg.Exec(ctx, tx, leaveLanes, queue, numbers(m.leave)); err != nil {
			return err
		}
	}
	for _, h := range slices.SortedFunc(maps.Keys(m.give), func(a, b host) int { return cmp.Compare(a.Node, b.Node) }) {
		if _, err := pg.Exec(ctx, tx, giveLanes, queue, numbers(m.give[h]), h.Node, h.NodeTerm); err != nil {
			return err
		}
	}
	return nil
}

func numbers(lanes []int) pq.Int64Array {
	array := make(pq.Int64Array, len(lanes))
	for i, lane := range lanes {
		array[i] = int64(lane)
	}
	return array
}
