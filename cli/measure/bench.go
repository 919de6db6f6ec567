// Package measure has the commands bench and chaos.
package measure

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/bench"
	"github.com/composerp/composerp/deploy/local"
)

// BenchCommand is the command `bench`.
func BenchCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.IntFlag{Name: "runs", Value: 3, Usage: "rounds; each measures the reference and Composerp in turn"},
		&cli.IntFlag{Name: "events", Value: 20_000, Usage: "events in a run"},
		&cli.IntSliceFlag{Name: "ages", Usage: "instead, measure the cost of a sale with a log of these sizes, in events: 100000,500000,2000000"},
		&cli.IntFlag{Name: "audit", Usage: "instead, measure full and incremental audits of a log of this size, in events; 10000000 needs 20 GB of disk"},
		&cli.IntFlag{Name: "projections", Usage: "instead, rebuild each read model from a log of this size, in events, beside a COPY of the log's rows"},
		terminal.OutputFlag(), settings.FlagOf(settings.FlagDatabase),
	}
	return &cli.Command{
		Name:  "bench",
		Usage: "measure throughput against a minimal reference, in one run on the same servers",
		Description: "The reference does the minimum without the harness: outbox row, exchange, queue, inbox, movement, position. Quote\n" +
			"ratios; absolute figures depend on the machine. It prints each figure with its goal, and what an event and a delivery\n" +
			"cost: processor time of the client, the broker and the database, and bytes of write-ahead log. Without servers\n" +
			"set by flags or environment it starts private ones. It creates a database and a virtual host for each run and\n" +
			"deletes them.",
		Flags:  append(settings.BrokerFlags(flags...), settings.LogFlag("warn")),
		Action: measure,
	}
}

func measure(cctx *cli.Context) error {
	if cctx.Int("runs") < 1 || cctx.Int("events") < 100 {
		return exit.Usage("want at least 1 run of at least 100 events")
	}
	at, discard, err := benchServers(cctx)
	if err != nil {
		return err
	}
	defer discard()
	cfg := bench.Config{
		DatabaseURL: at.Database, AMQPURL: at.AMQP, ManagementURL: at.Management,
		Runs: cctx.Int("runs"), Events: cctx.Int("events"), Progress: func(text string) { terminal.Say(cctx, "%s", text) },
	}
	show := func(report interface{ Table() string }, err error) error {
		if err != nil {
			return err
		}
		return terminal.Show(cctx, report, func(w io.Writer) { fmt.Fprint(w, report.Table()) })
	}
	if ages := cctx.IntSlice("ages"); len(ages) > 0 {
		return show(bench.RunAges(cctx.Context, cfg, ages))
	}
	if events := cctx.Int("audit"); events > 0 {
		return show(bench.RunAudit(cctx.Context, cfg, events))
	}
	if events := cctx.Int("projections"); events > 0 {
		return show(bench.RunProjections(cctx.Context, cfg, events))
	}
	return show(bench.Run(cctx.Context, cfg))
}

// benchServers gives the servers that were named, or starts some for the bench alone.
func benchServers(cctx *cli.Context) (settings.Endpoints, func(), error) {
	at, err := settings.ForAll(cctx)
	if err != nil {
		return at, nil, err
	}
	if at.Database != "" && at.AMQP != "" && at.Management != "" {
		return at, func() {}, nil
	}
	if at.Database != "" || at.AMQP != "" {
		return at, nil, exit.Misconfigured("the bench needs COMPOSERP_DATABASE_URL, COMPOSERP_AMQP_URL and COMPOSERP_MANAGEMENT_URL, or none of them to have servers of its own")
	}
	log, err := settings.Logger(cctx)
	if err != nil {
		return at, nil, err
	}
	dir, err := os.MkdirTemp("", "composerp-bench-")
	if err != nil {
		return at, nil, fmt.Errorf("making a directory for the bench's servers: %w", err)
	}
	terminal.Say(cctx, "starting PostgreSQL and RabbitMQ for the bench ...")
	s, err := local.Start(cctx.Context, local.Config{Dir: dir, Log: log})
	if err != nil {
		os.RemoveAll(dir)
		return at, nil, err
	}
	at = settings.Endpoints{Database: s.DatabaseURL, AMQP: s.AMQPURL, Management: s.ManagementURL}
	return at, func() { _ = s.Discard(context.WithoutCancel(cctx.Context)) }, nil
}
