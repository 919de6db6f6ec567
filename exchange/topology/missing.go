package topology

import "slices"

// Missing is the part of a topology that a broker lacks, by name and not by argument: the part that Apply would
// declare. A binding is missing too when either of its ends is.
func (t Topology) Missing(have Topology) Topology {
	exchange := func(name string) bool {
		return slices.ContainsFunc(have.Exchanges, func(e ExchangeSpec) bool { return e.Name == name })
	}
	queue := func(name string) bool {
		return slices.ContainsFunc(have.Queues, func(q QueueSpec) bool { return q.Name == name })
	}
	return Topology{
		Exchanges: slices.DeleteFunc(slices.Clone(t.Exchanges), func(e ExchangeSpec) bool { return exchange(e.Name) }),
		Queues:    slices.DeleteFunc(slices.Clone(t.Queues), func(q QueueSpec) bool { return queue(q.Name) }),
		Bindings: slices.DeleteFunc(slices.Clone(t.Bindings), func(b BindingSpec) bool {
			return slices.Contains(have.Bindings, b) && exchange(b.Exchange) && (queue(b.Queue) || exchange(b.To))
		}),
	}
}

// Empty reports whether the topology contains nothing.
func (t Topology) Empty() bool { return len(t.Exchanges)+len(t.Queues)+len(t.Bindings) == 0 }
