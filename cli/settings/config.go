package settings

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
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
	return append(more, FlagOf(FlagAMQP), FlagOf(FlagManagement))
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
	return append(flags, FlagOf(FlagSlots), FlagOf(FlagMaxSlots), FlagOf(FlagLabels), FlagOf(FlagMetrics), FlagOf(FlagMetricsWith), FlagOf(flagNotification), FlagOf(flagAlert), FlagOf(flagAlertmanager), FlagOf(flagWebhookSecret))
}

// wallClock is the fleet's; nil is the machine's own. Only a build for tests sets it.
var wallClock func() time.Time

// WorkersConfig is the configuration of the workers.
func WorkersConfig(cctx *cli.Context, log *slog.Logger) (workers.Config, error) {
	signer, err := signerOf(cctx.String(flagWebhookSecret))
	if err != nil {
		return workers.Config{}, exit.Misconfigured("--%s: %w", flagWebhookSecret, err)
	}
	return workers.Config{
		Signer:          signer,
		NotificationURL: cctx.String(flagNotification), AlertURL: cctx.String(flagAlert), AlertmanagerURL: cctx.String(flagAlertmanager), Log: log, Now: wallClock,
	}, nil
}

// Webhooks are the addresses of the settings that workers call.
func Webhooks(cctx *cli.Context) (addresses []string) {
	for _, name := range []string{flagNotification, flagAlert, flagAlertmanager} {
		if v, err := Configured(cctx).Value(Named(name)); err == nil && v.Text != "" {
			addresses = append(addresses, v.Text)
		}
	}
	return addresses
}

// Endpoints are where the servers are.
type Endpoints struct {
	Database   string `json:"databaseUrl"`
	AMQP       string `json:"amqpUrl"`
	Management string `json:"managementUrl,omitempty"`
}

// Given are the endpoints of flags, environment and configuration file; others are empty.
func Given(cctx *cli.Context) (Endpoints, error) {
	var e Endpoints
	c := Configured(cctx)
	for name, into := range map[string]*string{FlagDatabase: &e.Database, FlagAMQP: &e.AMQP, FlagManagement: &e.Management} {
		v, err := c.Value(Named(name))
		if err != nil {
			return Endpoints{}, err
		}
		*into = v.Text
	}
	if e.Database != "" {
		e.Database = withPGVariables(e.Database)
	}
	return e, nil
}

// Discover completes the endpoints with those of a running `up`.
func Discover(cctx *cli.Context) (Endpoints, error) {
	e, err := Given(cctx)
	if err != nil || e.Database != "" && e.AMQP != "" {
		return e, err
	}
	running, err := Find(cctx.String(FlagDir))
	if err != nil {
		return e, err
	}
	if running != nil {
		e.Database, e.AMQP = cmp.Or(e.Database, running.Database), cmp.Or(e.AMQP, running.AMQP)
		e.Management = cmp.Or(e.Management, running.Management)
		if isPrivate(cctx.String(FlagDir), e.Database) {
			ForgetPGVariables()
		}
	}
	return e, nil
}

// OpenDatabase opens the database of the settings or of a running `up`.
func OpenDatabase(ctx context.Context, e Endpoints, name string, connections int) (*store.DB, error) {
	if e.Database == "" {
		return nil, exit.Misconfigured("no database is known: run `composerp up` here, or set COMPOSERP_DATABASE_URL")
	}
	return store.Open(ctx, store.Config{URL: e.Database, Name: "composerp/" + name, Connections: connections})
}

// OpenSchema opens the database and makes sure that it is migrated.
func OpenSchema(cctx *cli.Context, name string, connections int) (*store.DB, Endpoints, error) {
	e, err := Discover(cctx)
	if err != nil {
		return nil, e, err
	}
	db, err := OpenDatabase(cctx.Context, e, name, connections)
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
		return rabbitmq.Config{}, exit.Misconfigured("no broker is known: run `composerp up` here, or set COMPOSERP_AMQP_URL")
	}
	nodes, err := nodesOf(e.AMQP)
	return rabbitmq.Config{URLs: nodes, Log: log, Now: wallClock}, err
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
	if e.Management == "" {
		return nil, nil
	}
	m, err := management.New(e.Management)
	if err != nil {
		return nil, exit.Misconfigured("%w", err)
	}
	return m, nil
}

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
