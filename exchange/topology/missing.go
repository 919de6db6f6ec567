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

// Causes are the missing things that are missing by themselves, by kind and name, and how many bindings are missing
// only because one of their ends is.
func (t Topology) Causes(have Topology) (causes []string, bindings int) {
	missing := t.Missing(have)
	gone := func(exchange, queue string) bool {
		return slices.ContainsFunc(missing.Exchanges, func(e ExchangeSpec) bool { return e.Name == exchange }) ||
			slices.ContainsFunc(missing.Queues, func(q QueueSpec) bool { return q.Name == queue })
	}
	for _, e := range missing.Exchanges {
		causes = append(causes, "exchange "+e.Name)
	}
	for _, q := range missing.Queues {
		causes = append(causes, "queue "+q.Name)
	}
	for _, b := range missing.Bindings {
		if gone(b.Exchange, b.Queue) || gone(b.To, "") {
			bindings++
			continue
		}
		causes = append(causes, "binding "+b.Exchange+" -> "+b.Destination()+" "+Difference{Kind: "binding", Property: b.Condition()}.String())
	}
	return causes, bindings
}

// Empty reports whether the topology contains nothing.
func (t Topology) Empty() bool { return len(t.Exchanges)+len(t.Queues)+len(t.Bindings) == 0 }
