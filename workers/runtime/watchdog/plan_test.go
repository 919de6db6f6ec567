package watchdog_test

import (
	"maps"
	"testing"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

// A consumer of external publishers alone is bound through three exchanges, and needs two of them.
func TestWhoLacksWhat(t *testing.T) {
	t.Parallel()
	plan := watchdog.NewPlan([]topology.Subscription{
		{Worker: "intake", RoutingKeys: []string{"sold"}, ExternalOnly: true}, {Worker: "ledger", RoutingKeys: []string{"sold"}},
	}, nil)
	lacking := func(gone func(b topology.BindingSpec) bool, exchanges ...string) map[string]bool {
		var have topology.Topology
		for _, e := range plan.Topology.Exchanges {
			if len(exchanges) == 0 || e.Name != exchanges[0] {
				have.Exchanges = append(have.Exchanges, e)
			}
		}
		have.Queues = plan.Topology.Queues
		for _, b := range plan.Topology.Bindings {
			if !gone(b) {
				have.Bindings = append(have.Bindings, b)
			}
		}
		return plan.Affected(plan.Topology.Missing(have))
	}
	nothing := func(topology.BindingSpec) bool { return false }
	said := map[string]bool{"intake": false}
	for name, c := range map[string]struct{ got, want map[string]bool }{
		"nothing":                    {lacking(nothing), map[string]bool{}},
		"the filter":                 {lacking(nothing, topology.FilterName("intake")), said},
		"what leads past the filter": {lacking(nothing, topology.ExternalName("intake")), said},
		"where the relayed are lost": {lacking(nothing, topology.LoggedName("intake")), map[string]bool{}},
		"the binding of the filter":  {lacking(func(b topology.BindingSpec) bool { return b.To == topology.FilterName("intake") }), said},
		"the binding of its queue":   {lacking(func(b topology.BindingSpec) bool { return b.Exchange == topology.ExternalName("intake") }), said},
		"the binding of the ledger's": {lacking(func(b topology.BindingSpec) bool {
			return b.Exchange == topology.Events && b.Queue == "composerp.ledger"
		}), map[string]bool{"ledger": false}},
		"the way back from a retry": {lacking(func(b topology.BindingSpec) bool {
			return b.Exchange == topology.Retry && b.Queue == "composerp.intake"
		}), map[string]bool{"intake": true}},
	} {
		if !maps.Equal(c.got, c.want) {
			t.Errorf("without %s %v lack something, want %v", name, c.got, c.want)
		}
	}
}
