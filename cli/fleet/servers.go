package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/extension"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers"
)

// restarts is how many times in ten minutes a private server that ends by itself is started again.
const restarts = 5

// servers gives the servers that were named, or starts private ones; own is nil for those that were named.
func servers(cctx *cli.Context, log *slog.Logger) (at settings.Endpoints, own *local.Servers, err error) {
	if at, err = settings.Given(cctx); err != nil {
		return at, nil, err
	}
	switch {
	case at.Database != "" && at.AMQP != "" || len(at.Secrets) > 0:
		if cctx.Bool(flagFresh) {
			return at, nil, exit.Usage("--%s deletes the data of private servers only; these are yours", flagFresh)
		}
		return at, nil, nil
	case at.Database != "" || at.AMQP != "":
		return at, nil, exit.Misconfigured("of --database-url and --amqp-url only one is given, by flag, environment or configuration file: give both, or none to have private servers; `composerp doctor --show-config` says where it comes from")
	}
	settings.ForgetPGVariables()
	dir := cctx.String(settings.FlagDir)
	if cctx.Bool(flagFresh) {
		if err := local.Remove(cctx.Context, dir); err != nil {
			return at, nil, fmt.Errorf("deleting the servers' data in %s: %w", dir, err)
		}
	}
	terminal.Say(cctx, "starting PostgreSQL and RabbitMQ on loopback, data in %s ...", dir)
	if own, err = local.Start(cctx.Context, local.Config{Dir: dir, Log: log, Restarts: restarts}); err != nil {
		return at, nil, err
	}
	at = settings.Endpoints{Database: own.DatabaseURL, AMQP: own.AMQPURL, Management: own.ManagementURL}
	if at.Secrets, err = secrets.Provide(cctx.Context, own, workers.Subscriptions()); err != nil {
		return at, nil, errors.Join(err, own.Stop(context.WithoutCancel(cctx.Context)))
	}
	return at, own, nil
}

// prepare migrates the database and applies the topology. With a file of secrets that has no URL of the migrator
// another process migrates, and prepare checks that it has.
func prepare(ctx context.Context, at settings.Endpoints, log *slog.Logger) error {
	role := grants.Migrator
	if len(at.Secrets) > 0 && at.AsRole(grants.Migrator).Database == "" {
		role = grants.Relay
	}
	db, err := settings.OpenDatabase(ctx, at.AsRole(role), "migrate", 2)
	if err != nil {
		return err
	}
	defer db.Close()
	if role == grants.Migrator {
		err = migrate(ctx, db)
	} else {
		err = store.CheckSchema(ctx, db)
	}
	if err != nil {
		return err
	}
	broker, err := settings.BrokerConfig(at.As(roles.Topology), log)
	if err != nil {
		return err
	}
	broker.Name = "topology"
	return applyTopology(ctx, at, db, broker)
}

func migrate(ctx context.Context, db *store.DB) error {
	if _, err := store.Migrate(ctx, db); err != nil {
		return err
	}
	if _, err := extension.MigrateRegistered(ctx, db); err != nil {
		return err
	}
	if err := eventlog.EnsurePartitions(ctx, db); err != nil {
		return err
	}
	_, err := grants.Apply(ctx, db)
	return err
}
