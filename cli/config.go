package cli

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers"
)

// flagOutput is of every command that shows data.
const flagOutput = "output"

func dirFlag() cli.Flag      { return flagOf(flagDir) }
func databaseFlag() cli.Flag { return flagOf(flagDatabase) }
func tenantFlag() cli.Flag   { return flagOf(flagTenant) }

// logFlag is that of a command which logs at another level when nobody says otherwise.
func logFlag(level string) cli.Flag {
	f := flagOf(flagLogLevel)
	f.Value = level
	return f
}

func brokerFlags() []cli.Flag {
	return []cli.Flag{flagOf(flagAMQP), flagOf(flagManagement)}
}

// connectionFlags are for commands that need both servers.
func connectionFlags(more ...cli.Flag) []cli.Flag {
	flags := append(more, databaseFlag())
	flags = append(flags, brokerFlags()...)
	return append(flags, dirFlag(), logFlag("warn"))
}

// fleetFlags are for commands that run workers.
func fleetFlags(more ...cli.Flag) []cli.Flag {
	return append(connectionFlags(more...), slotsFlag(), metricsFlag(), flagOf(flagNotification), flagOf(flagAlert), flagOf(flagAlertmanager))
}

// fleetConfig is what the workers are told of the world around them.
func fleetConfig(cctx *cli.Context, log *slog.Logger) workers.Config {
	return workers.Config{
		NotificationURL: cctx.String(flagNotification), AlertURL: cctx.String(flagAlert), AlertmanagerURL: cctx.String(flagAlertmanager), Log: log, Now: wallClock,
	}
}

// endpoints are where the servers are.
type endpoints struct {
	database, amqp, management string
}

// given are the endpoints of flags, environment and configuration file; what nobody gave is empty.
func given(cctx *cli.Context) (endpoints, error) {
	var e endpoints
	c := configured(cctx)
	for name, into := range map[string]*string{flagDatabase: &e.database, flagAMQP: &e.amqp, flagManagement: &e.management} {
		v, err := c.value(settingCalled(name))
		if err != nil {
			return endpoints{}, err
		}
		*into = v.text
	}
	return e, nil
}

// discover completes what was given with what a running `up` says of itself.
func discover(cctx *cli.Context) (endpoints, error) {
	e, err := given(cctx)
	if err != nil || e.database != "" && e.amqp != "" {
		return e, err
	}
	running, err := findFleet(cctx.String(flagDir))
	if err != nil {
		return e, err
	}
	if running != nil {
		fill(&e.database, running.DatabaseURL)
		fill(&e.amqp, running.AMQPURL)
		fill(&e.management, running.ManagementURL)
	}
	return e, nil
}

func fill(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func openDatabase(ctx context.Context, e endpoints, name string, connections int) (*store.DB, error) {
	if e.database == "" {
		return nil, misconfigured("no database is known: run `composerp up` here, or set COMPOSERP_DATABASE_URL")
	}
	return store.Open(ctx, store.Config{URL: e.database, Name: "composerp/" + name, Connections: connections})
}

// openSchema opens the database and makes sure that it is migrated.
func openSchema(cctx *cli.Context, name string, connections int) (*store.DB, endpoints, error) {
	e, err := discover(cctx)
	if err != nil {
		return nil, e, err
	}
	db, err := openDatabase(cctx.Context, e, name, connections)
	if err != nil {
		return nil, e, err
	}
	if err := store.CheckSchema(cctx.Context, db); err != nil {
		db.Close()
		return nil, e, err
	}
	return db, e, nil
}

func brokerConfig(e endpoints, log *slog.Logger) (rabbitmq.Config, error) {
	if e.amqp == "" {
		return rabbitmq.Config{}, misconfigured("no broker is known: run `composerp up` here, or set COMPOSERP_AMQP_URL")
	}
	return rabbitmq.Config{URLs: strings.Split(e.amqp, ","), Log: log, Now: wallClock}, nil
}

// managementClient is nil where no URL is known.
func managementClient(e endpoints) (*management.Client, error) {
	if e.management == "" {
		return nil, nil
	}
	m, err := management.New(e.management)
	if err != nil {
		return nil, configError{err}
	}
	return m, nil
}

// logger writes to stderr; one command, one logger.
func logger(cctx *cli.Context) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cctx.String(flagLogLevel))); err != nil {
		return nil, usage("--%s %q: want debug, info, warn or error", flagLogLevel, cctx.String(flagLogLevel))
	}
	options := &slog.HandlerOptions{Level: level}
	if cctx.String(flagLogFormat) == "json" {
		return slog.New(slog.NewJSONHandler(cctx.App.ErrWriter, options)), nil
	}
	return slog.New(slog.NewTextHandler(cctx.App.ErrWriter, options)), nil
}

// noArguments rejects positionals where a command takes none.
func noArguments(cctx *cli.Context) error {
	if cctx.NArg() > 0 {
		return usage("`%s` takes no argument, got %q", cctx.Command.HelpName, cctx.Args().First())
	}
	return nil
}

func say(cctx *cli.Context, format string, args ...any) {
	fmt.Fprintf(cctx.App.ErrWriter, format+"\n", args...)
}
