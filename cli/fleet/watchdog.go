package fleet

import (
	"context"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/publishing"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/stream"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/audit"
	"github.com/composerp/composerp/workers/runtime/processes"
	"github.com/composerp/composerp/workers/runtime/rebuilds"
	"github.com/composerp/composerp/workers/runtime/watchdog"
)

const watchConnections = 4

// PlanOf describes the whole fleet and the part that this process runs.
func PlanOf(here ...string) watchdog.Plan {
	var subscriptions []topology.Subscription
	for _, w := range workers.Fleet(workers.Config{}) {
		subscriptions = append(subscriptions, w.Subscription())
	}
	return watchdog.NewPlan(subscriptions, here)
}

func (f *fleet) startWatchdog(ctx context.Context, g *errgroup.Group, registry prometheus.Registerer) error {
	broker, err := f.broker(roles.Topology)
	if err != nil {
		return err
	}
	republishing, err := f.publishingAs(roles.Relay, publishing.Watchdog)
	if err != nil {
		return err
	}
	db, err := f.pool(ctx, registry, grants.Relay, "watchdog", watchConnections)
	if err != nil {
		return err
	}
	management, err := settings.ManagementClient(f.at)
	if err != nil {
		db.Close()
		return err
	}
	audit.Register(registry, db)
	rebuilds.Register(registry, db, projectionNames())
	processes.Register(registry, db, processNames())
	var here []string
	for _, w := range f.workers {
		here = append(here, w.Name())
	}
	w := &watchdog.Watchdog{DB: db, Broker: broker, Republishing: republishing, Management: management, Plan: PlanOf(here...), Holder: settings.Holder(),
		Log: f.log.With("part", "watchdog"), Metrics: watchdog.NewMetrics(registry)}
	g.Go(func() error {
		defer db.Close()
		return w.Run(ctx)
	})
	return nil
}

func processNames() (names []string) {
	for _, p := range workers.Processes() {
		names = append(names, p.Name)
	}
	return names
}

func projectionNames() (names []string) {
	for _, p := range workers.Projections() {
		names = append(names, p.Name)
	}
	return names
}

// applyTopology declares the topology. It first records a gap for each worker whose queue or binding was missing.
func applyTopology(ctx context.Context, at settings.Endpoints, db *store.DB, broker rabbitmq.Config) error {
	sets, err := lanes.Sets(ctx, db)
	if err != nil {
		return err
	}
	setting, err := stream.Read(ctx, db)
	if err != nil {
		return err
	}
	states, err := versions.Read(ctx, db)
	if err != nil {
		return err
	}
	plan := PlanOf().WithLanes(sets).WithStream(setting).WithVersions(states)
	have, err := held(ctx, at, broker, plan.Topology)
	if err != nil {
		return err
	}
	if lacking := slices.Collect(maps.Keys(plan.Affected(plan.Topology.Missing(have)))); len(lacking) > 0 {
		if err := eventlog.RecordGaps(ctx, db, lacking, eventlog.Position{}); err != nil {
			return err
		}
	}
	return rabbitmq.Apply(ctx, plan.Topology, broker)
}

// held is the part of a topology that the broker has. Only the management API lists bindings.
func held(ctx context.Context, at settings.Endpoints, broker rabbitmq.Config, wanted topology.Topology) (have topology.Topology, err error) {
	if management, err := settings.ManagementClient(at); err == nil && management != nil {
		vhost, err := broker.Vhost()
		if err == nil {
			have, err = management.Topology(ctx, vhost)
		}
		if err == nil {
			return have, nil
		}
	}
	session, err := rabbitmq.Open(ctx, broker)
	if err != nil {
		return have, err
	}
	defer session.Close()
	have, _, err = session.InspectTopology(wanted)
	return have, err
}
