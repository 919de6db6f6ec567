package fleet

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/monitoring"
	"github.com/composerp/composerp/exchange/topology/roles"
)

// observe starts a Prometheus that scrapes this process and the broker when --observe asks for it, and returns the
// address of its console page. The fleet goes on without it: where it does not start, or ends, that is said.
func observe(ctx context.Context, g *errgroup.Group, cctx *cli.Context, f *fleet, own *local.Servers) (page string, err error) {
	if !cctx.Bool(flagObserve) {
		return "", nil
	}
	cfg := monitoring.ServerConfig{Dir: filepath.Join(cctx.String(settings.FlagDir), "prometheus"), Fleet: f.metrics.Addr().String(), Instance: "up"}
	broker, err := f.broker(roles.Relay)
	if err != nil {
		return "", err
	}
	if cfg.Vhost, err = broker.Vhost(); err != nil {
		return "", err
	}
	if cfg.Brokers, err = exporters(f.at, own); err != nil {
		return "", err
	}
	server, err := monitoring.Start(ctx, cfg)
	if err != nil {
		terminal.Say(cctx, "no dashboards: %v", err)
		return "", nil
	}
	g.Go(func() error {
		defer server.Stop()
		select {
		case <-ctx.Done():
		case <-server.Exited():
			f.log.Error("prometheus has ended; the fleet goes on", "how", server.Ended())
		}
		return nil
	})
	return server.ConsoleURL(), nil
}

// exporters are host and port of the exporter of each node of the broker.
func exporters(at settings.Endpoints, own *local.Servers) ([]string, error) {
	if own != nil {
		u, err := url.Parse(own.PrometheusURL)
		if err != nil {
			return nil, fmt.Errorf("finding the broker's exporter: %w", err)
		}
		return []string{u.Host}, nil
	}
	var addresses []string
	for _, node := range settings.SplitURLs(at.AMQP) {
		address, err := monitoring.BrokerAddress(node)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, address)
	}
	return addresses, nil
}
