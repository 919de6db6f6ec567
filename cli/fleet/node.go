package fleet

import (
	"context"
	"fmt"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/capacity"
	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/runtime/scaler"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/reads"
)

const (
	scalerConnections = 5
	// spareSlots is how many slots more than its flags say a process takes unless --max-slots says otherwise.
	spareSlots = 32
)

// offer is what a process that runs workers offers to the fleet. maxSlots 0 means the default.
type offer struct {
	maxSlots int
	labels   []string
}

// offered reads --max-slots and --labels.
func offered(cctx *cli.Context) (o offer, err error) {
	if text := cctx.String(settings.FlagMaxSlots); text != "" {
		if o.maxSlots, err = capacity.ParseMaxSlots(text); err != nil {
			return o, exit.Usage("--%s: %w", settings.FlagMaxSlots, err)
		}
	}
	if o.labels, err = capacity.ParseLabels(cctx.String(settings.FlagLabels)); err != nil {
		return o, exit.Usage("--%s: %w", settings.FlagLabels, err)
	}
	return o, nil
}

// mostSlots is the most slots of this process.
func (f *fleet) mostSlots() (int, error) {
	total := 0
	for _, w := range f.workers {
		total += f.slotsOf(w)
	}
	if f.node.maxSlots == 0 {
		return total + spareSlots, nil
	}
	if f.node.maxSlots < total {
		return 0, exit.Misconfigured("--%s %d is less than the %d slots that --%s starts; raise it, or name fewer workers or slots",
			settings.FlagMaxSlots, f.node.maxSlots, total, settings.FlagSlots)
	}
	return f.node.maxSlots, nil
}

// ordered are the subscriptions of the fleet's ordered workers.
func ordered() []topology.Subscription {
	subscriptions := []topology.Subscription{} // not nil: also a process that runs none may lead
	for _, sub := range workers.Subscriptions() {
		if sub.Ordered {
			subscriptions = append(subscriptions, sub)
		}
	}
	return subscriptions
}

// startNode makes this process a node of the fleet, which sets the slots of its workers. Call it before they run.
func (f *fleet) startNode(ctx context.Context, g *errgroup.Group, registry prometheus.Registerer, runners []*worker.Runner, most int, broker rabbitmq.Config) error {
	db, err := f.pool(ctx, registry, grants.Worker, "scaler", scalerConnections)
	if err != nil {
		return err
	}
	host, _ := os.Hostname()
	n := &scaler.Node{DB: db, Hints: db.Listen(ctx, scaling.Channel), Runners: runners, Ordered: ordered(),
		Broker: broker, Metrics: scaler.NewMetrics(registry), Log: f.log.With("part", "scaler"), Ready: f.ready,
		Self: scaling.Node{ID: settings.Holder(), Host: host, PID: os.Getpid(), Version: f.version, Capacity: most, Labels: f.node.labels, Reads: reads.Lines(f.workers)}}
	n.Attach()
	g.Go(func() error {
		defer db.Close()
		if err := n.Run(ctx); err != nil {
			return fmt.Errorf("running as a node: %w", err)
		}
		return nil
	})
	return nil
}
