// Package workers is the guest list: every worker of the fleet, a line each. A
// test fails when a room is missing from it.
package workers

import (
	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/workers/intake"
	"github.com/composerp/composerp/workers/journal"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/stockview"
	"github.com/composerp/composerp/workers/worker"
)

// Fleet declares every worker.
func Fleet() []worker.Worker {
	return []worker.Worker{
		ledger.New(),
		intake.New(),
		stockview.New(),
		journal.New(),
	}
}

// Topology is what the fleet needs of the broker.
func Topology() exchange.Topology {
	var subscriptions []exchange.Subscription
	for _, w := range Fleet() {
		subscriptions = append(subscriptions, w.Subscription())
	}
	return exchange.Compute(subscriptions)
}
