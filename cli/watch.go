package cli

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/exchange/watchdog"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers"
)

const watchConnections = 4

// planOf is what the whole fleet needs, and what of it this process runs.
func planOf(here ...string) watchdog.Plan {
	var subscriptions []exchange.Subscription
	for _, w := range workers.Fleet(workers.Config{}) {
		subscriptions = append(subscriptions, w.Subscription())
	}
	return watchdog.NewPlan(subscriptions, here, intakeWorker)
}

// intakeWorker logs what came straight over AMQP.
const intakeWorker = "intake"

func (f *fleet) startWatchdog(ctx context.Context, g *errgroup.Group, registry prometheus.Registerer) error {
	db, err := openDatabase(ctx, f.at, "watchdog", watchConnections)
	if err != nil {
		return err
	}
	broker, err := brokerConfig(f.at, f.log)
	if err != nil {
		db.Close()
		return err
	}
	management, err := managementClient(f.at)
	if err != nil {
		db.Close()
		return err
	}
	var here []string
	for _, w := range f.workers {
		here = append(here, w.Name())
	}
	w := &watchdog.Watchdog{DB: db, Exchange: broker, Management: management, Plan: planOf(here...), Holder: holder(),
		Log: f.log.With("part", "watchdog"), Metrics: watchdog.NewMetrics(registry)}
	g.Go(func() error {
		defer db.Close()
		return w.Run(ctx)
	})
	return nil
}

// applyTopology declares what the fleet needs, and first notes for whom something may be lost because it was not there.
func applyTopology(ctx context.Context, db *store.DB, broker exchange.Config) error {
	session, err := exchange.Open(ctx, broker)
	if err != nil {
		return err
	}
	defer session.Close()
	plan := planOf()
	have, _, err := session.Holds(plan.Topology)
	if err != nil {
		return err
	}
	if lacking := slices.Collect(maps.Keys(plan.Lacking(plan.Topology.Missing(have)))); len(lacking) > 0 {
		if err := db.NoteGaps(ctx, lacking, store.Point{}); err != nil {
			return err
		}
	}
	return plan.Topology.Apply(ctx, broker)
}
