// Package workers is the guest list: every worker of the fleet, a line each. A
// test fails when a room is missing from it.
package workers

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/composerp/composerp/exchange/topology"
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
)

// Config is what the workers must be told of the world around them. The zero
// value works: who has nobody to call writes to the log and a table.
type Config struct {
	// NotificationURL hears of orders, AlertURL of low stock and expiring lots, by a
	// POST of JSON; AlertmanagerURL is the base of an Alertmanager that is told of the latter too.
	NotificationURL, AlertURL, AlertmanagerURL string
	Log                                        *slog.Logger
	// Now is the wall clock by which an Alertmanager is told the time; nil: the machine's.
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
		procurement.New(cfg.Log),
		notification.New(cfg.NotificationURL, cfg.Log),
		alert.New(alert.Config{WebhookURL: cfg.AlertURL, AlertmanagerURL: cfg.AlertmanagerURL, Log: cfg.Log, Now: cfg.Now}),
		analytics.New(),
		deadletterlog.New(),
	}
}

// Topology is what the fleet needs of the broker.
func Topology() topology.Topology {
	var subscriptions []topology.Subscription
	for _, w := range Fleet(Config{}) {
		subscriptions = append(subscriptions, w.Subscription())
	}
	return topology.Compute(subscriptions)
}
