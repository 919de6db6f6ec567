package cli

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// private are servers that this process started, if any.
type private struct{ servers *local.Servers }

func (p private) exited() <-chan struct{} {
	if p.servers == nil {
		return nil
	}
	return p.servers.Exited()
}

func (p private) stop() {
	if p.servers != nil {
		_ = p.servers.Stop(context.Background())
	}
}

// servers gives the servers that were named, or starts private ones.
func servers(cctx *cli.Context, log *slog.Logger) (endpoints, private, error) {
	at, err := given(cctx)
	if err != nil {
		return at, private{}, err
	}
	switch {
	case at.database != "" && at.amqp != "":
		if cctx.Bool(flagFresh) {
			return at, private{}, usage("--%s deletes the data of private servers only; these are yours", flagFresh)
		}
		return at, private{}, nil
	case at.database != "" || at.amqp != "":
		return at, private{}, misconfigured("of --database-url and --amqp-url only one is given, by flag, environment or configuration file: give both, or none to have private servers; `composerp doctor --show-config` says where it comes from")
	}
	dir := cctx.String(flagDir)
	if cctx.Bool(flagFresh) {
		if err := local.Remove(cctx.Context, dir); err != nil {
			return at, private{}, fmt.Errorf("deleting the servers' data in %s: %w", dir, err)
		}
	}
	say(cctx, "starting PostgreSQL and RabbitMQ on loopback, data in %s ...", dir)
	s, err := local.Start(cctx.Context, local.Config{Dir: dir, Log: log})
	if err != nil {
		return at, private{}, err
	}
	return endpoints{database: s.DatabaseURL, amqp: s.AMQPURL, management: s.ManagementURL}, private{s}, nil
}

// prepare migrates the database and applies the topology.
func prepare(ctx context.Context, at endpoints, log *slog.Logger) error {
	db, err := openDatabase(ctx, at, "migrate", 2)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := store.Migrate(ctx, db); err != nil {
		return err
	}
	if err := eventlog.EnsurePartitions(ctx, db); err != nil {
		return err
	}
	broker, err := brokerConfig(at, log)
	if err != nil {
		return err
	}
	broker.Name = "topology"
	return applyTopology(ctx, at, db, broker)
}
