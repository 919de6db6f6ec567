package topology_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/topology"
)

// One effect names all queues that a policy changes in the same way, and a setting that changes nothing has none.
func TestPolicyEffects(t *testing.T) {
	t.Parallel()
	fleet := topology.Compute([]topology.Subscription{{Worker: "ledger", RetryDelays: []time.Duration{5 * time.Second, time.Minute}}, {Worker: "view"}})
	everywhere := func(policy map[string]any) map[string]topology.QueueState {
		states := map[string]topology.QueueState{"theirs": {Policy: policy, PolicyName: "policy p"}}
		for _, q := range fleet.Queues {
			states[q.Name] = topology.QueueState{Policy: policy, PolicyName: "policy p"}
		}
		return states
	}
	const working, others = "composerp.ledger and 1 more", "composerp.unrouted and 3 more"
	for name, c := range map[string]struct {
		policy map[string]any
		want   []string
	}{
		"none":            {nil, nil},
		"harmless":        {map[string]any{"queue-leader-locator": "balanced", "dead-letter-exchange": "x", "delivery-limit": 1e9}, nil},
		"expires":         {map[string]any{"expires": 60e3}, []string{"composerp.unrouted and 7 more loses"}},
		"message-ttl":     {map[string]any{"message-ttl": 60e3}, []string{others + " loses", working}},
		"a short TTL":     {map[string]any{"message-ttl": 1e3}, []string{others + " loses", working, "composerp.ledger.retry.5s and 1 more"}},
		"a limit":         {map[string]any{"max-length": 10.0}, []string{others + " loses", "composerp.ledger and 3 more"}},
		"dropping":        {map[string]any{"max-length-bytes": 10.0, "overflow": "drop-head"}, []string{others + " loses", "composerp.ledger and 3 more loses", "composerp.ledger and 3 more loses"}},
		"refusing":        {map[string]any{"max-length": 10.0, "overflow": "reject-publish"}, []string{"composerp.unrouted and 7 more"}},
		"few deliveries":  {map[string]any{"delivery-limit": 20.0}, []string{others + " loses", "composerp.ledger and 3 more"}},
		"some deliveries": {map[string]any{"delivery-limit": 5000.0}, []string{others + " loses"}},
	} {
		var got []string
		for _, e := range fleet.PolicyEffects(everywhere(c.policy)) {
			text := e.Where()
			if e.Loses {
				text += " loses"
			}
			if e.Effect == "" || e.Policy != "policy p" || fmt.Sprint(e.Value) == "" {
				t.Errorf("%s: %+v", name, e)
			}
			got = append(got, text)
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
