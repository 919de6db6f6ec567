package topology

// Missing is the part of a topology that a broker lacks, by name and not by argument: the part that Apply would
// declare. A binding is missing too when either of its ends is.
func (t Topology) Missing(have Topology) Topology {
	exchanges, queues, bindings := map[string]bool{}, map[string]bool{}, map[BindingSpec]bool{}
	for _, e := range have.Exchanges {
		exchanges[e.Name] = true
	}
	for _, q := range have.Queues {
		queues[q.Name] = true
	}
	for _, b := range have.Bindings {
		bindings[b] = true
	}
	var missing Topology
	for _, e := range t.Exchanges {
		if !exchanges[e.Name] {
			missing.Exchanges = append(missing.Exchanges, e)
		}
	}
	for _, q := range t.Queues {
		if !queues[q.Name] {
			missing.Queues = append(missing.Queues, q)
		}
	}
	for _, b := range t.Bindings {
		if !bindings[b] || !exchanges[b.Exchange] || !queues[b.Queue] && !exchanges[b.To] {
			missing.Bindings = append(missing.Bindings, b)
		}
	}
	return missing
}

// Empty reports whether the topology contains nothing.
func (t Topology) Empty() bool { return len(t.Exchanges)+len(t.Queues)+len(t.Bindings) == 0 }
