package watchdog_test

import (
	"maps"
	"testing"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/watchdog"
)

// Who hears only outsiders hears them through three exchanges, two of which it can not do without.
func TestWhoLacksWhat(t *testing.T) {
	t.Parallel()
	plan := watchdog.NewPlan([]exchange.Subscription{
		{Worker: "intake", RoutingKeys: []string{"sold"}, Unlogged: true}, {Worker: "ledger", RoutingKeys: []string{"sold"}},
	}, nil)
	lacking := func(gone func(b exchange.BindingSpec) bool, exchanges ...string) map[string]bool {
		var have exchange.Topology
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
		return plan.Lacking(plan.Topology.Missing(have))
	}
	nothing := func(exchange.BindingSpec) bool { return false }
	said := map[string]bool{"intake": false}
	for name, c := range map[string]struct{ got, want map[string]bool }{
		"nothing":                    {lacking(nothing), map[string]bool{}},
		"the filter":                 {lacking(nothing, exchange.FilterName("intake")), said},
		"what leads past the filter": {lacking(nothing, exchange.UnloggedName("intake")), said},
		"where the relayed are lost": {lacking(nothing, exchange.LoggedName("intake")), map[string]bool{}},
		"the binding of the filter":  {lacking(func(b exchange.BindingSpec) bool { return b.To == exchange.FilterName("intake") }), said},
		"the binding of its queue":   {lacking(func(b exchange.BindingSpec) bool { return b.Exchange == exchange.UnloggedName("intake") }), said},
		"the binding of the ledger's": {lacking(func(b exchange.BindingSpec) bool {
			return b.Exchange == exchange.Events && b.Queue == "composerp.ledger"
		}), map[string]bool{"ledger": false}},
		"the way back from a retry": {lacking(func(b exchange.BindingSpec) bool {
			return b.Exchange == exchange.Retry && b.Queue == "composerp.intake"
		}), map[string]bool{"intake": true}},
	} {
		if !maps.Equal(c.got, c.want) {
			t.Errorf("without %s %v lack something, want %v", name, c.got, c.want)
		}
	}
}
