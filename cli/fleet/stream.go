package fleet

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/exchange/publishing"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers/runtime/stream"
)

const streamConnections = 4

// startStream starts the feeder of composerp.stream, which waits until an operator switches that on.
func (f *fleet) startStream(ctx context.Context, g *errgroup.Group, registry prometheus.Registerer) error {
	broker, err := f.publishingAs(roles.Relay, publishing.Stream)
	if err != nil {
		return err
	}
	db, err := f.pool(ctx, registry, grants.Relay, "stream", streamConnections)
	if err != nil {
		return err
	}
	stream.RegisterState(registry, db)
	feeder := &stream.Feeder{DB: db, Broker: broker, Holder: settings.Holder(), Log: f.log.With("part", "stream"), Metrics: stream.NewMetrics(registry)}
	g.Go(func() error {
		defer db.Close()
		return feeder.Run(ctx)
	})
	return nil
}
