package topology_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/topologytest"
)

// One deleted thing is one cause, whatever was bound to it.
func TestCauses(t *testing.T) {
	t.Parallel()
	want := topology.Compute(topologytest.Fleet())
	for _, e := range want.Exchanges {
		have := want
		have.Exchanges = slices.DeleteFunc(slices.Clone(want.Exchanges), func(x topology.ExchangeSpec) bool { return x.Name == e.Name })
		have.Bindings = slices.DeleteFunc(slices.Clone(want.Bindings), func(b topology.BindingSpec) bool { return b.Exchange == e.Name || b.To == e.Name })
		causes, bindings := want.Causes(have)
		if len(causes) != 1 || causes[0] != "exchange "+e.Name || bindings != len(want.Bindings)-len(have.Bindings) {
			t.Errorf("without %s: %v, and %d bindings", e.Name, causes, bindings)
		}
	}
	for _, q := range want.Queues {
		have := want
		have.Queues = slices.DeleteFunc(slices.Clone(want.Queues), func(x topology.QueueSpec) bool { return x.Name == q.Name })
		have.Bindings = slices.DeleteFunc(slices.Clone(want.Bindings), func(b topology.BindingSpec) bool { return b.Queue == q.Name })
		if causes, _ := want.Causes(have); len(causes) != 1 || causes[0] != "queue "+q.Name {
			t.Errorf("without %s: %v", q.Name, causes)
		}
	}
	have := want
	have.Bindings = want.Bindings[1:]
	if causes, bindings := want.Causes(have); len(causes) != 1 || !strings.HasPrefix(causes[0], "binding composerp.") || bindings != 0 {
		t.Errorf("without a binding: %v, and %d more", causes, bindings)
	}
	if causes, bindings := want.Causes(want); len(causes) != 0 || bindings != 0 {
		t.Errorf("with everything: %v, and %d bindings", causes, bindings)
	}
}
