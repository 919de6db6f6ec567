package fleet

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/newworker"
	"github.com/composerp/composerp/cli/pools"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/workers"
)

// WorkerCommand is the command `worker`.
func WorkerCommand() *cli.Command {
	return &cli.Command{
		Name:  "worker",
		Usage: "the workers of the fleet",
		Subcommands: append(pools.Commands(), []*cli.Command{
			{
				Name: "run", Usage: "run some workers in this process until interrupted", ArgsUsage: "WORKER...",
				Description: "--slots sets the consumers of each worker that `composerp scale` has not set. More consumers, in this or other\n" +
					"processes, share the worker's queue. The relay must run too: `composerp relay`, or `composerp up`.",
				Flags: settings.FleetFlags("warn"), Action: workerRun,
			},
			newworker.Command(),
		}...),
	}
}

func workerRun(cctx *cli.Context) error {
	slots, err := settings.ParseSlots(cctx.String(settings.FlagSlots))
	if err != nil {
		return err
	}
	if cctx.NArg() == 0 {
		return exit.Usage("name the workers to run: %s", strings.Join(workers.Names(), ", "))
	}
	log, err := settings.Logger(cctx)
	if err != nil {
		return err
	}
	f := &fleet{slots: slots}
	if f.node, err = settings.ParseNode(cctx); err != nil {
		return err
	}
	for _, name := range cctx.Args().Slice() {
		i := slices.Index(workers.Names(), name)
		if i < 0 {
			return exit.Usage("there is no worker %q; %sthere are %s", name, terminal.Suggest(name, workers.Names()), strings.Join(workers.Names(), ", "))
		}
		f.workers = append(f.workers, workers.Fleet(settings.WorkersConfig(cctx, log))[i])
	}
	return runPart(cctx, f)
}
