package settings

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/secrets"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers"
)

// LogFlag is that of a command whose default log level differs.
func LogFlag(level string) cli.Flag {
	f := FlagOf(FlagLogLevel)
	f.Value = level
	return f
}

// BrokerFlags are the flags of commands that need the broker.
func BrokerFlags(more ...cli.Flag) []cli.Flag {
	return append(more, FlagOf(FlagAMQP), FlagOf(FlagManagement), FlagOf(FlagSecrets))
}

// DatabaseFlags are the flags of commands that need the database and show data.
func DatabaseFlags(more ...cli.Flag) []cli.Flag {
	return append(more, terminal.OutputFlag(), FlagOf(FlagDatabase), FlagOf(FlagDir))
}

// ConnectionFlags are for commands that need both servers.
func ConnectionFlags(more ...cli.Flag) []cli.Flag {
	return append(BrokerFlags(append(more, FlagOf(FlagDatabase))...), FlagOf(FlagDir), LogFlag("warn"))
}

// FleetFlags are for commands that run workers and log from that level on.
func FleetFlags(level string, more ...cli.Flag) []cli.Flag {
	flags := append(BrokerFlags(append(more, FlagOf(FlagDatabase))...), FlagOf(FlagDir), LogFlag(level))
	flags = append(flags, FlagOf(FlagSlots), FlagOf(FlagMaxSlots), FlagOf(FlagLabels))
	flags = append(flags, ServingFlags()...)
	return append(flags, FlagOf(FlagNotification), FlagOf(FlagAlert), FlagOf(FlagAlertmanager), FlagOf(flagWebhookSecret))
}

// ServingFlags are for commands that run a part of the fleet: what it serves, and where its spans go.
func ServingFlags() []cli.Flag {
	return []cli.Flag{FlagOf(FlagMetrics), FlagOf(FlagMetricsWith), FlagOf(FlagPageToken), FlagOf(FlagPageHosts), FlagOf(FlagOTLP), FlagOf(FlagTraceRatio)}
}

// wallClock is the fleet's; nil is the machine's own. Only a build for tests sets it.
var wallClock func() time.Time

// WorkersConfig is the configuration of the workers.
func WorkersConfig(cctx *cli.Context, log *slog.Logger) (workers.Config, error) {
	signer, err := renewedSigner(cctx)
	if err != nil {
		return workers.Config{}, err
	}
	return workers.Config{
		Signer:          signer,
		NotificationURL: cctx.String(FlagNotification), AlertURL: cctx.String(FlagAlert), AlertmanagerURL: cctx.String(FlagAlertmanager), Log: log, Now: wallClock,
	}, nil
}

// OpenDatabase opens the database of the settings or of a running `up`.
func OpenDatabase(ctx context.Context, e Endpoints, name string, connections int) (*store.DB, error) {
	return OpenAppending(ctx, e, name, connections, nil)
}

// OpenAppending is OpenDatabase with a function to call after events were appended, nil for none.
func OpenAppending(ctx context.Context, e Endpoints, name string, connections int, appended func() bool) (*store.DB, error) {
	if e.Database == "" {
		return nil, e.unknown("database", FlagDatabase, e.wanted.database)
	}
	return store.Open(ctx, store.Config{URL: e.Database, Current: e.currentDatabase(), Log: e.log, Name: "composerp/" + name, Connections: connections, Appended: appended})
}

// OpenSchema opens the database and makes sure that it is migrated.
func OpenSchema(cctx *cli.Context, name string, connections int) (*store.DB, Endpoints, error) {
	return OpenSchemaAs(cctx, grants.Operator, name, connections)
}

// OpenSchemaAs is OpenSchema for another role than the operator's.
func OpenSchemaAs(cctx *cli.Context, role grants.Role, name string, connections int) (*store.DB, Endpoints, error) {
	e, err := Discover(cctx)
	if err != nil {
		return nil, e, err
	}
	db, err := OpenDatabase(cctx.Context, e.AsRole(role), name, connections)
	if err != nil {
		return nil, e, err
	}
	if err := store.CheckSchema(cctx.Context, db); err != nil {
		db.Close()
		return nil, e, err
	}
	return db, e, nil
}

// On is the action of a command that works on what open opens. ask reads the command line, so that what is typed wrong
// is refused before a server is called.
func On[C interface{ Close() error }, Q any](open func(*cli.Context) (C, error), ask func(*cli.Context) (Q, error), work func(*cli.Context, C, Q) error) cli.ActionFunc {
	return func(cctx *cli.Context) error {
		asked, err := ask(cctx)
		if err != nil {
			return err
		}
		c, err := open(cctx)
		if err != nil {
			return err
		}
		defer c.Close()
		return work(cctx, c, asked)
	}
}

// OnSchema is On for a migrated database.
func OnSchema[Q any](name string, connections int, ask func(*cli.Context) (Q, error), work func(*cli.Context, *store.DB, Q) error) cli.ActionFunc {
	return On(func(cctx *cli.Context) (*store.DB, error) {
		db, _, err := OpenSchema(cctx, name, connections)
		return db, err
	}, ask, work)
}

// Nothing is what a command asks whose line has nothing to read.
func Nothing(*cli.Context) (struct{}, error) { return struct{}{}, nil }

// BrokerConfig is the broker of the endpoints.
func BrokerConfig(e Endpoints, log *slog.Logger) (rabbitmq.Config, error) {
	if e.AMQP == "" {
		return rabbitmq.Config{}, e.unknown("broker", FlagAMQP, e.wanted.amqp)
	}
	nodes, err := nodesOf(e.AMQP)
	config := rabbitmq.Config{URLs: nodes, Current: e.currentBroker(), Log: log, Now: wallClock}
	if len(e.Secrets) > 0 {
		config.Fleet = e.Secrets.Fleet(workers.Subscriptions())
	}
	return config, err
}

// LoggedBroker is the broker of the endpoints, with a connection of that name and the command's logger.
func LoggedBroker(cctx *cli.Context, e Endpoints, name string) (rabbitmq.Config, error) {
	log, err := Logger(cctx)
	if err != nil {
		return rabbitmq.Config{}, err
	}
	broker, err := BrokerConfig(e, log)
	broker.Name, broker.Version = name, cctx.App.Version
	return broker, err
}

// ManagementClient is nil where no URL is known.
func ManagementClient(e Endpoints) (*management.Client, error) {
	if managementURL(e) == "" {
		return nil, nil
	}
	m, err := management.NewRenewed(e.currentManagement, cmp.Or(e.log, slog.Default()))
	if err != nil {
		return nil, exit.Misconfigured("%w", err)
	}
	return m, nil
}

func managementURL(e Endpoints) string { return cmp.Or(e.Secrets[secrets.Management()], e.Management) }

// Logger writes to stderr; one command, one logger.
func Logger(cctx *cli.Context) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cctx.String(FlagLogLevel))); err != nil {
		return nil, exit.Usage("--%s %q: want debug, info, warn or error", FlagLogLevel, cctx.String(FlagLogLevel))
	}
	options := &slog.HandlerOptions{Level: level}
	if cctx.String(FlagLogFormat) == "json" {
		return slog.New(slog.NewJSONHandler(cctx.App.ErrWriter, options)), nil
	}
	return slog.New(slog.NewTextHandler(cctx.App.ErrWriter, options)), nil
}
