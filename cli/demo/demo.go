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

func Command() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "bring everything up and live some weeks of a small shop with it",
		Description: "Like `up`, and then ten weeks of a shop with a warehouse and two stores, a day a second: tills sell, shelves\n" +
			"run low, orders are made, approved and sent to suppliers (a real HTTP server on loopback), goods arrive, late\n" +
			"and in parts now and then. On a terminal it shows all that; at the end it says what came of it and proves\n" +
			"it, and stays up until interrupted, or ends with --exit. Run again on the same data it goes on with the\n" +
			"next days; --fresh begins anew. Exit code 2 when the audit has findings.\n\n" +
			"The same world on a till's file, its days as fast as the fleet handles them:\n\n" +
			"   composerp demo --sales FILE --map deploy/demo/online-retail.yaml --exit",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "exit", Usage: "end when it has been shown"},
			&cli.BoolFlag{Name: "plain", Usage: "a line a day instead of a screen"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "which shop"},
			&cli.IntFlag{Name: "days", Usage: "how many days of business; 70, or all there are in a file"},
			&cli.StringFlag{Name: "until", Usage: "the last day of business, 2011-03-31"},
			&cli.StringFlag{Name: "speed", Usage: "days a second, or max; 1, or max with a file"},
			&cli.StringFlag{Name: "sales", Usage: "live the days of this till's file (.csv or .ndjson, also .gz)"},
			&cli.StringFlag{Name: "map", Aliases: []string{"m"}, Usage: "what the file's columns mean, a YAML file"},
			&cli.StringFlag{Name: "policy", Value: masterdata.RuleAuto, Usage: "with a file: its items' rules, auto or fixed"},
			&cli.StringFlag{Name: "measure-from", Usage: "the day from which on fill rate, average stock and orders are counted"},
			&cli.DurationFlag{Name: "wait", Value: 2 * time.Minute, Usage: "how long to wait for the fleet to be quiet"},
			terminal.OutputFlag(),
		}, demoFleetFlags()...),
		Action: runDemo,
	}
}

// demoFleetFlags are up's, but for what is logged: that a busy supplier's order is
// sent again belongs to the story, and the story tells it.
func demoFleetFlags() []cli.Flag {
	flags := fleet.UpFlags()
	for i, f := range flags {
		if f.Names()[0] == settings.FlagLogLevel {
			flags[i] = settings.LogFlag("error")
		}
	}
	return flags
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
		cctx.App.Writer = console // stdout is for the summary alone
	}
	defer console.Leave()
	return fleet.Up(cctx, func(ctx context.Context, r *fleet.Running) error {
		return play(ctx, cctx, r, options, console, stdout)
	})
}

// play lives the world with a fleet that is up, and shows what became of it.
func play(ctx context.Context, cctx *cli.Context, r *fleet.Running, o demoOptions, console *screen.Console, stdout io.Writer) error {
	log, err := settings.Logger(cctx)
	if err != nil {
		return err
	}
	db, err := settings.OpenDatabase(ctx, r.Endpoints, "demo", 3)
	if err != nil {
		return err
	}
	defer db.Close()
	broker, err := settings.BrokerConfig(r.Endpoints, log)
	if err != nil {
		return err
	}
	broker.Name = "till"
	cfg := demo.Config{World: o.world, DB: db, Exchange: broker, Consumers: owingWorkers(), Days: o.days, Until: o.until, Pace: o.pace, Patience: o.wait}
	if console.Terminal < 0 {
		cfg.Ended = func(s demo.State) { fmt.Fprintln(console, dayLine(s)) }
	}
	game, err := demo.Open(ctx, cfg)
	if err != nil {
		return err
	}
	introduce(console, game)
	err = live(ctx, game, console, &screen.Watcher{Game: game, DB: db, Broker: broker, Console: console, Log: log, Pace: o.paceText})
	if err != nil {
		if s := game.State(); ctx.Err() != nil && s.Date != "" {
			fmt.Fprintf(console, "interrupted on %s, day %d; run again, the demo goes on from there\n", s.Date, s.Day)
		}
		return err
	}
	if console.Terminal >= 0 {
		cctx.App.ErrWriter = console.Out // the audit knows how to show on a terminal what it waits for
	}
	return conclude(ctx, cctx, r, db, game, o, stdout)
}

// owingWorkers are the fleet's workers that the audit holds to account.
func owingWorkers() (names []string) {
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.TracksInbox() {
			names = append(names, w.Name())
		}
	}
	return names
}

// introduce says which days are to come.
func introduce(console *screen.Console, game *demo.Game) {
	first, last, left := game.Span()
	switch {
	case last != "" && last < first:
		fmt.Fprintf(console, "this world was lived to its end before, until %s; --fresh begins anew\n", left)
	case left != "":
		fmt.Fprintf(console, "this world was here before, until %s; it goes on from %s (--fresh begins anew)\n", left, first)
	default:
		fmt.Fprintf(console, "business begins on %s\n", first)
	}
}

// live runs the game, and beside it, on a terminal, the screen.
func live(ctx context.Context, game *demo.Game, console *screen.Console, w *screen.Watcher) error {
	if console.Terminal < 0 {
		return game.Run(ctx)
	}
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Watch(watching)
	}()
	err := game.Run(ctx)
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
	return fmt.Sprintf("%s  day %d%s  sold %s  returned %s  received %s  moved %s  damaged %s  not there %s  supplier calls %d",
		s.Date, s.Day, of, s.Today.Sold, s.Today.Returned, s.Today.Received, s.Today.Moved, s.Today.Damaged, s.Today.Lost, s.Calls.All)
}
