// Package topologytest has a fleet whose topology shows every kind of queue, exchange and binding.
package topologytest

import (
	"time"

	"github.com/composerp/composerp/exchange/topology"
)

// Fleet is the subscriptions of a few workers: two with retry queues, one that consumes only external publishers'
// events, and one that drains the dead-letter log's queue.
func Fleet() []topology.Subscription {
	return []topology.Subscription{
		{Worker: "ledger", RoutingKeys: []string{"integration.transfer_initiated", "integration.sale_completed", "integration.sale_completed"},
			RetryDelays: []time.Duration{15 * time.Minute, 5 * time.Second, time.Minute}},
		{Worker: "alert", RoutingKeys: []string{"inventory.low_stock"}, RetryDelays: []time.Duration{90 * time.Second, time.Hour}},
		{Worker: "intake", RoutingKeys: []string{"integration.sale_completed"}, RetryDelays: []time.Duration{time.Minute}, ExternalOnly: true},
		{Worker: "journal", Queue: topology.DeadLetterLog},
	}
}
