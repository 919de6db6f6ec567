package fleet

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/capacity"
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
				Description: "`all` are all workers, but those of --except. --slots sets the consumers of each worker that `composerp scale` has\n" +
					"not set. More consumers, in this or other processes, share the worker's queue. The relay must run too:\n" +
					"`composerp relay`, or `composerp up`.",
				Flags:  append(settings.FleetFlags("warn"), &cli.StringSliceFlag{Name: flagExcept, Usage: "of all, leave out these `WORKERS`, separated by commas"}),
				Action: workerRun,
			},
			newworker.Command(),
		}...),
	}
}

const (
	flagExcept = "except"
	allWorkers = "all" // in place of names
)

func workerRun(cctx *cli.Context) error {
	slots, err := capacity.ParseSlots(cctx.String(settings.FlagSlots))
	if err != nil {
		return err
	}
	if cctx.NArg() == 0 {
		return exit.Usage("name the workers to run, or %s of them: %s", allWorkers, strings.Join(workers.Names(), ", "))
	}
	log, err := settings.Logger(cctx)
	if err != nil {
		return err
	}
	f := &fleet{slots: slots}
	if f.node, err = offered(cctx); err != nil {
		return err
	}
	names, err := chosen(cctx.Args().Slice(), cctx.StringSlice(flagExcept))
	if err != nil {
		return err
	}
	cfg, err := settings.WorkersConfig(cctx, log)
	if err != nil {
		return err
	}
	for _, w := range workers.Fleet(cfg) {
		if slices.Contains(names, w.Name()) {
			f.workers = append(f.workers, w)
		}
	}
	return runPart(cctx, f)
}

// chosen are the names of the workers to run.
func chosen(named, except []string) ([]string, error) {
	all := slices.Equal(named, []string{allWorkers})
	if !all && slices.Contains(named, allWorkers) {
		return nil, exit.Usage("%s stands alone: it is every worker", allWorkers)
	}
	wanted := except
	if !all {
		wanted = slices.Concat(named, except)
	}
	for _, name := range wanted {
		if !slices.Contains(workers.Names(), name) {
			return nil, exit.Usage("there is no worker %q; %sthere are %s", name, terminal.Suggest(name, workers.Names()), strings.Join(workers.Names(), ", "))
		}
	}
	if !all && len(except) > 0 {
		return nil, exit.Usage("--%s leaves workers out of %s: composerp worker run --%s %s %s", flagExcept, allWorkers, flagExcept, strings.Join(except, ","), allWorkers)
	}
	if !all {
		return named, nil
	}
	rest := slices.DeleteFunc(workers.Names(), func(name string) bool { return slices.Contains(except, name) })
	if len(rest) == 0 {
		return nil, exit.Usage("--%s leaves no worker", flagExcept)
	}
	return rest, nil
}
