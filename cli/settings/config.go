package settings

import (
	"context"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers"
)

// DirFlag is the flag --dir.
func DirFlag() cli.Flag { return FlagOf(FlagDir) }

// DatabaseFlag is the flag --database-url.
func DatabaseFlag() cli.Flag { return FlagOf(FlagDatabase) }

// TenantFlag is the flag --tenant.
func TenantFlag() cli.Flag { return FlagOf(FlagTenant) }

// LogFlag is that of a command whose default log level differs.
func LogFlag(level string) cli.Flag {
	f := FlagOf(FlagLogLevel)
	f.Value = level
	return f
}

// BrokerFlags are the flags of commands that need the broker.
func BrokerFlags() []cli.Flag {
	return []cli.Flag{FlagOf(FlagAMQP), FlagOf(FlagManagement)}
}

// ConnectionFlags are for commands that need both servers.
func ConnectionFlags(more ...cli.Flag) []cli.Flag {
	flags := append(more, DatabaseFlag())
	flags = append(flags, BrokerFlags()...)
	return append(flags, DirFlag(), LogFlag("warn"))
}

// FleetFlags are for commands that run workers.
func FleetFlags(more ...cli.Flag) []cli.Flag {
	return append(ConnectionFlags(more...), slotsFlag(), MetricsFlag(), FlagOf(flagNotification), FlagOf(flagAlert), FlagOf(flagAlertmanager))
}

// WorkersConfig is the configuration of the workers.
func WorkersConfig(cctx *cli.Context, log *slog.Logger) workers.Config {
	return workers.Config{
		NotificationURL: cctx.String(flagNotification), AlertURL: cctx.String(flagAlert), AlertmanagerURL: cctx.String(flagAlertmanager), Log: log, Now: wallClock,
	}
}

// Endpoints are where the servers are.
type Endpoints struct {
	Database, AMQP, Management string
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
		fill(&e.Database, running.DatabaseURL)
		fill(&e.AMQP, running.AMQPURL)
		fill(&e.Management, running.ManagementURL)
	}
	return e, nil
}

func fill(s *string, value string) {
	if *s == "" {
		*s = value
	}
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

// BrokerConfig is the broker of the endpoints.
func BrokerConfig(e Endpoints, log *slog.Logger) (rabbitmq.Config, error) {
	if e.AMQP == "" {
		return rabbitmq.Config{}, exit.Misconfigured("no broker is known: run `composerp up` here, or set COMPOSERP_AMQP_URL")
	}
	return rabbitmq.Config{URLs: strings.Split(e.AMQP, ","), Log: log, Now: wallClock}, nil
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

// MetricsFlag is the flag --metrics-addr.
func MetricsFlag() cli.Flag { return FlagOf(FlagMetrics) }
