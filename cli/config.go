package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/store"
)

// Flags that many commands share. Each value comes from its flag, else from the
// environment, else from the file the environment names, else from a running
// `composerp up`, else it has a default.
const (
	flagDir        = "dir"
	flagDatabase   = "database-url"
	flagAMQP       = "amqp-url"
	flagManagement = "management-url"
	flagOutput     = "output"
	flagLogLevel   = "log-level"
	flagMetrics    = "metrics-addr"
)

func dirFlag() cli.Flag {
	return &cli.StringFlag{Name: flagDir, Value: ".composerp", EnvVars: []string{"COMPOSERP_DIR"}, Usage: "where up keeps its servers' data and says where they are"}
}

func logFlag(level string) cli.Flag {
	return &cli.StringFlag{Name: flagLogLevel, Value: level, EnvVars: []string{"COMPOSERP_LOG_LEVEL"}, Usage: "debug, info, warn or error"}
}

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: flagOutput, Aliases: []string{"o"}, Value: "table", Usage: "table or json"}
}

func databaseFlag() cli.Flag {
	return &cli.StringFlag{Name: flagDatabase, Usage: "PostgreSQL, postgres://user:password@host:port/database [$COMPOSERP_DATABASE_URL, $COMPOSERP_DATABASE_URL_FILE]"}
}

func brokerFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: flagAMQP, Usage: "RabbitMQ, amqp://user:password@host:port/vhost; nodes of a cluster separated by commas [$COMPOSERP_AMQP_URL, ..._FILE]"},
		&cli.StringFlag{Name: flagManagement, Usage: "RabbitMQ's management API, http://user:password@host:15672 [$COMPOSERP_MANAGEMENT_URL, ..._FILE]"},
	}
}

// connectionFlags are for commands that need both servers.
func connectionFlags(more ...cli.Flag) []cli.Flag {
	flags := append(more, databaseFlag())
	flags = append(flags, brokerFlags()...)
	return append(flags, dirFlag(), logFlag("warn"))
}

// setting reads a value by precedence: flag, environment, file.
func setting(cctx *cli.Context, flag, variable string) (string, error) {
	if v := cctx.String(flag); v != "" {
		return v, nil
	}
	if v := os.Getenv(variable); v != "" {
		return v, nil
	}
	path := os.Getenv(variable + "_FILE")
	if path == "" {
		return "", nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		var where *fs.PathError
		if errors.As(err, &where) {
			err = where.Err
		}
		return "", misconfigured("%s_FILE names %s: %v", variable, path, err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// endpoints are where the servers are.
type endpoints struct {
	database, amqp, management string
}

// given are the endpoints of flags and environment; what nobody gave is empty.
func given(cctx *cli.Context) (endpoints, error) {
	var e endpoints
	for _, s := range []struct {
		into           *string
		flag, variable string
	}{
		{&e.database, flagDatabase, "COMPOSERP_DATABASE_URL"},
		{&e.amqp, flagAMQP, "COMPOSERP_AMQP_URL"},
		{&e.management, flagManagement, "COMPOSERP_MANAGEMENT_URL"},
	} {
		var err error
		if *s.into, err = setting(cctx, s.flag, s.variable); err != nil {
			return endpoints{}, err
		}
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
	if err := db.CheckSchema(cctx.Context); err != nil {
		db.Close()
		return nil, e, err
	}
	return db, e, nil
}

func brokerConfig(e endpoints, log *slog.Logger) (exchange.Config, error) {
	if e.amqp == "" {
		return exchange.Config{}, misconfigured("no broker is known: run `composerp up` here, or set COMPOSERP_AMQP_URL")
	}
	return exchange.Config{URLs: strings.Split(e.amqp, ","), Log: log}, nil
}

// managementClient is nil where no URL is known.
func managementClient(e endpoints) (*exchange.Management, error) {
	if e.management == "" {
		return nil, nil
	}
	m, err := exchange.NewManagement(e.management)
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
	return slog.New(slog.NewTextHandler(cctx.App.ErrWriter, &slog.HandlerOptions{Level: level})), nil
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
