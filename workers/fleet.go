// Package workers is the registry of the fleet's workers, a line each. A new worker
// is its package and its line in Fleet; a test fails when the line is missing.
package workers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers/alert"
	"github.com/composerp/composerp/workers/analytics"
	"github.com/composerp/composerp/workers/approval"
	"github.com/composerp/composerp/workers/deadletterlog"
	"github.com/composerp/composerp/workers/forecasting"
	"github.com/composerp/composerp/workers/intake"
	"github.com/composerp/composerp/workers/ledger"
	"github.com/composerp/composerp/workers/lots"
	"github.com/composerp/composerp/workers/notification"
	"github.com/composerp/composerp/workers/procurement"
	"github.com/composerp/composerp/workers/replenishment"
	"github.com/composerp/composerp/workers/stockview"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// Config are the settings of the workers. The zero value works: a worker without a
// receiver to call writes to the log and a table.
type Config struct {
	// NotificationURL receives orders, AlertURL low stock and expiring lots, each as a
	// POST of JSON; AlertmanagerURL is the base of an Alertmanager that receives the latter too.
	NotificationURL, AlertURL, AlertmanagerURL string
	// Signer signs webhooks and orders to suppliers; nil: they are not signed.
	Signer *webcall.Signer
	Log    *slog.Logger
	// Now is the wall clock for the times that an Alertmanager gets; nil: the machine's.
	Now func() time.Time
}

// Declaration declares the workers of a fleet. It is called often, so that it only declares.
type Declaration func(Config) []worker.Worker

// declared is the fleet of this process.
var declared Declaration = Standard

// Use has this process work with another fleet than the standard one: what runs,
// topology, audit, watchdog, doctor and bench all read it from here. cli.Main calls
// it before anything else; it is not for use while a fleet runs.
func Use(d Declaration) { declared = d }

// Fleet declares every worker of this process's fleet.
func Fleet(cfg Config) []worker.Worker { return declared(cfg) }

// Check declares the fleet and returns an error where a worker's declaration is
// wrong, two workers have one name, or there is none.
func (d Declaration) Check() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("declaring the fleet: %v", p)
		}
	}()
	seen := map[string]bool{}
	for _, w := range d(Config{}) {
		if seen[w.Name()] {
			return fmt.Errorf("two workers of the fleet are named %s", w.Name())
		}
		seen[w.Name()] = true
	}
	if len(seen) == 0 {
		return errors.New("the fleet has no worker")
	}
	return nil
}

// Standard declares the standard fleet.
func Standard(cfg Config) []worker.Worker {
	return []worker.Worker{
		ledger.New(),
		intake.New(),
		stockview.New(),
		lots.New(),
		replenishment.New(),
		approval.New(),
		forecasting.New(),
		procurement.New(cfg.Signer, cfg.Log),
		notification.New(cfg.NotificationURL, cfg.Signer, cfg.Log),
		alert.New(alert.Config{WebhookURL: cfg.AlertURL, AlertmanagerURL: cfg.AlertmanagerURL, Signer: cfg.Signer, Log: cfg.Log, Now: cfg.Now}),
		analytics.New(),
		deadletterlog.New(),
	}
}

// Names are the workers' names, in the registry's order.
func Names() []string {
	fleet := Fleet(Config{})
	names := make([]string, len(fleet))
	for i, w := range fleet {
		names[i] = w.Name()
	}
	return names
}

// TrackedNames are the names of the workers whose events get rows in the inbox: see worker.Worker.TracksInbox.
func TrackedNames() []string {
	var names []string
	for _, w := range Fleet(Config{}) {
		if w.TracksInbox() {
			names = append(names, w.Name())
		}
	}
	return names
}

// Topology is what the fleet needs of the broker while no queue is divided into lanes.
func Topology() topology.Topology { return topology.Compute(Subscriptions()) }

// TopologyNow is what the fleet needs of the broker with the lanes that its queues have now, and composerp.events.v1
// while a type has two live versions. composerp.stream is no
// part of it: no worker empties that.
func TopologyNow(ctx context.Context, db *store.DB) (topology.Topology, error) {
	sets, err := lanes.Sets(ctx, db)
	if err != nil {
		return topology.Compute(lanes.Divided(sets, Subscriptions())), err
	}
	states, err := versions.Read(ctx, db)
	return versions.AddTo(states, topology.Compute(versions.Bound(states, lanes.Divided(sets, Subscriptions())))), err
}

// Subscriptions are what the workers need of the broker, without lanes.
func Subscriptions() []topology.Subscription {
	var subscriptions []topology.Subscription
	for _, w := range Fleet(Config{}) {
		subscriptions = append(subscriptions, w.Subscription())
	}
	return subscriptions
}
