package measure

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/chaos"
)

// ChaosCommand is the command `chaos`.
func ChaosCommand() *cli.Command {
	return &cli.Command{
		Name:  "chaos",
		Usage: "inject random faults into a private fleet; prove that nothing is lost or applied twice",
		Description: "Starts a private PostgreSQL and RabbitMQ on loopback and two processes of each part of the fleet, loads them, and\n" +
			"injects and ends faults. At the end an audit, and a count of the published events, prove the result. It never uses\n" +
			"other servers: it ignores servers set by flags, environment or configuration file. The same seed gives the same\n" +
			"faults and events. Exits 0 without findings; 2 with findings, and then it keeps data and logs and prints where.",
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "seed", DefaultText: "random", Usage: "seed of faults and events"},
			&cli.DurationFlag{Name: "duration", Value: time.Minute, Usage: "duration of the faults; start and proof take one to two minutes more"},
			&cli.StringFlag{Name: "faults", Usage: "only these faults or groups, separated by commas"},
			&cli.BoolFlag{Name: "list", Usage: "only list the faults"},
			&cli.StringFlag{Name: "results", Usage: "append the result as a line of JSON to `FILE`, for chaos report"},
			terminal.OutputFlag(),
		},
		Action: chaosRun,
		Subcommands: []*cli.Command{{
			Name: "report", Usage: "summarize the runs of a file of results", ArgsUsage: "FILE",
			Description: "Prints Markdown: faults by kind with recovery times, events, losses and duplicates. FILE - is standard input.",
			Action:      chaosReport,
		}},
	}
}

func chaosRun(cctx *cli.Context) error {
	var names []string
	if text := cctx.String("faults"); text != "" {
		names = strings.Split(text, ",")
	}
	faults, err := chaos.Faults(names...)
	if err != nil {
		return exit.Usage("--faults: %v", err)
	}
	if cctx.Bool("list") {
		return terminal.ShowRows(cctx, faults, []any{"FAULT", "GROUP", "WHAT"}, func(f *chaos.Fault) []any {
			return []any{f.Name, f.Group, f.What}
		})
	}
	if d := cctx.Duration("duration"); d < time.Second {
		return exit.Usage("--duration %s: want a second at least", d)
	}
	report, err := liveSeed(cctx, faults)
	if err != nil {
		return err
	}
	if path := cctx.String("results"); path != "" {
		if err := chaos.Append(path, report); err != nil {
			return err
		}
	}
	if err := terminal.Show(cctx, report, func(w io.Writer) { fmt.Fprint(w, report.Table()) }); err != nil {
		return err
	}
	if report.Verdict != chaos.Clean {
		return exit.Findings("chaos has findings")
	}
	return nil
}

func liveSeed(cctx *cli.Context, faults []chaos.Fault) (chaos.Report, error) {
	for _, name := range []string{settings.FlagDatabase, settings.FlagAMQP, settings.FlagManagement} {
		if variable := settings.Named(name).Variable(); os.Getenv(variable) != "" {
			terminal.Say(cctx, "%s is ignored: chaos uses private servers only", variable)
		}
	}
	program, err := os.Executable()
	if err != nil {
		return chaos.Report{}, fmt.Errorf("finding this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "composerp-chaos-")
	if err != nil {
		return chaos.Report{}, fmt.Errorf("making a directory for the servers: %w", err)
	}
	seed := cctx.Uint64("seed")
	if !cctx.IsSet("seed") {
		seed = rand.Uint64N(1_000_000)
	}
	terminal.Say(cctx, "seed %s", fmt.Sprint(seed))
	began := time.Now()
	report, err := chaos.Run(cctx.Context, chaos.Config{
		Seed: seed, Duration: cctx.Duration("duration"), Faults: faults, Program: program, Version: cctx.App.Version, Dir: dir,
		Progress: func(text string) { terminal.Say(cctx, "%6.1f  %s", time.Since(began).Seconds(), text) },
	})
	if err != nil && report.Dir != "" {
		err = fmt.Errorf("%w; data and logs are kept in %s", err, report.Dir)
	}
	return report, err
}

func chaosReport(cctx *cli.Context) error {
	if cctx.NArg() != 1 {
		return exit.Usage("`%s` takes one file of results", cctx.Command.HelpName)
	}
	path := cctx.Args().First()
	in := cctx.App.Reader
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return exit.Usage("opening the results: %v", err)
		}
		defer file.Close()
		in = file
	}
	runs, err := chaos.Read(in)
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		return fmt.Errorf("%s has no results", path)
	}
	fmt.Fprint(cctx.App.Writer, chaos.Markdown(runs))
	return nil
}
