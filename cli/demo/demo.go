// Package demo has the command demo.
package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/fleet"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/demo"
	"github.com/composerp/composerp/deploy/demo/screen"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers"
)

// Command is the command `demo`.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "start everything and simulate some weeks of a small shop",
		Description: "Starts the fleet as `up` does, and simulates ten weeks of a shop with a warehouse and two stores, one day a second:\n" +
			"tills sell, stock runs low, orders are created, approved and sent to suppliers (an HTTP server on loopback),\n" +
			"goods arrive, some of them late or in parts. A terminal shows it live. At the end it prints a summary and the\n" +
			"audit, and the fleet stays up until interrupted; --exit stops it. Run again on the same data it resumes with\n" +
			"the next day; --fresh begins with empty data. Exit code 2 when the audit has findings.\n\n" +
			"With a till's file, its days as fast as the fleet handles them:\n\n" +
			"   composerp demo --sales FILE --map deploy/demo/online-retail.yaml --exit",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "exit", Usage: "stop the fleet after the summary"},
			&cli.BoolFlag{Name: "plain", Usage: "print a line a day instead of the screen"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "seed of the shop's customers and suppliers"},
			&cli.IntFlag{Name: "days", Usage: "days to simulate; default 70, or all of the file"},
			&cli.StringFlag{Name: "until", Usage: "last day to simulate, such as 2011-03-31"},
			&cli.StringFlag{Name: "speed", Usage: "days a second, or max; default 1, or max with a file"},
			&cli.StringFlag{Name: "sales", Usage: "simulate the days of this till's file (.csv or .ndjson, also .gz)"},
			&cli.StringFlag{Name: "map", Aliases: []string{"m"}, Usage: "mapping of the file's columns, a YAML file"},
			&cli.StringFlag{Name: "policy", Value: masterdata.RuleAuto, Usage: "replenishment rules of the file's items: auto or fixed"},
			&cli.StringFlag{Name: "measure-from", Usage: "first day for which fill rate, average stock and orders are measured"},
			&cli.DurationFlag{Name: "wait", Value: 2 * time.Minute, Usage: "how long to wait until the fleet has handled a part of a day"},
			terminal.OutputFlag(),
		}, fleet.UpFlags("error")...), // the demo itself reports that a busy supplier's order is sent again
		Action: runDemo,
	}
}

func runDemo(cctx *cli.Context) error {
	options, err := readDemoOptions(cctx)
	if err != nil {
		return err
	}
	stdout := cctx.App.Writer
	console := screen.NewConsole(cctx.App.ErrWriter, cctx.Bool("plain"))
	cctx.App.ErrWriter = console
	if options.json {
		cctx.App.Writer = console // stdout has nothing but the summary
	}
	defer console.Leave()
	return fleet.Up(cctx, func(ctx context.Context, at settings.Endpoints) error {
		return simulate(ctx, cctx, at, options, console, stdout)
	})
}

// simulate simulates the business with a fleet that is up, and shows the summary.
func simulate(ctx context.Context, cctx *cli.Context, at settings.Endpoints, o demoOptions, console *screen.Console, stdout io.Writer) error {
	log, err := settings.Logger(cctx)
	if err != nil {
		return err
	}
	db, err := settings.OpenDatabase(ctx, at, "demo", 3)
	if err != nil {
		return err
	}
	defer db.Close()
	broker, err := settings.BrokerConfig(at, log)
	if err != nil {
		return err
	}
	broker.Name = "till"
	cfg := demo.Config{Scenario: o.scenario, DB: db, Broker: broker, Consumers: workers.TrackedNames(), Days: o.days, Until: o.until, Pace: o.pace, Timeout: o.wait}
	if !console.HasScreen() {
		cfg.DayEnded = func(s demo.State) { fmt.Fprintln(console, dayLine(s)) }
	}
	simulation, err := demo.Open(ctx, cfg)
	if err != nil {
		return err
	}
	announce(console, simulation)
	err = run(ctx, simulation, console, &screen.Watcher{Simulation: simulation, DB: db, Broker: broker, Console: console, Log: log, Pace: o.paceText})
	if err != nil {
		if s := simulation.State(); ctx.Err() != nil && s.Date != "" {
			fmt.Fprintf(console, "interrupted on %s, day %d; run the demo again to resume\n", s.Date, s.Day)
		}
		return err
	}
	if console.HasScreen() {
		cctx.App.ErrWriter = console.Unwrap() // the audit shows its progress on a terminal
	}
	return conclude(ctx, cctx, at, db, simulation, o, stdout)
}

// announce says which days will be simulated.
func announce(console *screen.Console, simulation *demo.Simulation) {
	first, last, left := simulation.Span()
	switch {
	case last != "" && last < first:
		fmt.Fprintf(console, "all days have been simulated, until %s; --fresh begins with empty data\n", left)
	case left != "":
		fmt.Fprintf(console, "simulated before until %s; resuming with %s (--fresh begins with empty data)\n", left, first)
	default:
		fmt.Fprintf(console, "simulating from %s on\n", first)
	}
}

// run runs the simulation, and beside it, on a terminal, the screen.
func run(ctx context.Context, simulation *demo.Simulation, console *screen.Console, w *screen.Watcher) error {
	if !console.HasScreen() {
		return simulation.Run(ctx)
	}
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Watch(watching)
	}()
	err := simulation.Run(ctx)
	stop()
	<-ended
	return err
}

// dayLine is a day on one line.
func dayLine(s demo.State) string {
	of := ""
	if s.Days > 0 {
		of = fmt.Sprintf("/%d", s.Days)
	}
	return fmt.Sprintf("%s  day %d%s  sold %s  returned %s  received %s  moved %s  damaged %s  unmet %s  supplier calls %d",
		s.Date, s.Day, of, s.Today.Sold, s.Today.Returned, s.Today.Received, s.Today.Moved, s.Today.Damaged, s.Today.Lost, s.Calls.All)
}
