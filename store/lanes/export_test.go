package lanes

// Host is host.
type Host = host

// Moves are the moves of a set's lanes: those that are to be given up, and those that are given, by node. taken are
// those of dead nodes.
func (s Set) Moves(all []Lane, hosts []Host, alive map[string]bool) (taken, left []int, given map[string][]int) {
	m := s.moves(all, hosts, alive)
	given = map[string][]int{}
	for h, lanes := range m.give {
		given[h.Node] = lanes
	}
	return m.take, m.leave, given
}
