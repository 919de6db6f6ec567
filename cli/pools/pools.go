// Package pools has the commands that scale workers: scale, and worker list, describe, drain, pause and resume.
package pools

import (
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
)

// Commands are the subcommands of `worker` that show and steer slots.
func Commands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "list", Usage: "list workers: slots wanted and running, queues, rates, failures, and why",
			Description: "MODE: flags (each process runs what its --slots says), manual (see `composerp scale`) or paused. RUN: slots that\n" +
				"consume; BUSY: those with messages in hand. DRAIN-ETA: time until the queue is empty at the present rates. OLDEST:\n" +
				"for how long the oldest event that no slot has taken has been in the log; - where that is not known. The rates\n" +
				"need the management API, and are as old as its statistics, 5 s. With --nodes it lists the processes that run\n" +
				"workers.",
			Flags:  ListFlags(&cli.BoolFlag{Name: flagNodes, Usage: "list the processes that run workers instead"}),
			Action: list,
		},
		{
			Name: "describe", Usage: "show a worker's queue: events consumed, slots of each node, and the last changes", ArgsUsage: "QUEUE",
			Description: "A queue is named by its worker.",
			Flags:       settings.DatabaseFlags(), Action: settings.OnSchema("scale", 1, queueNamed, describe),
		},
		{
			Name: "drain", Usage: "let a node finish what it has in hand and run no more slots", ArgsUsage: "NODE",
			Description: "Slots that `composerp scale` has set move to other nodes; those of its --slots do not. The process goes on without\n" +
				"slots and can be stopped. Messages that the broker has sent ahead are finished, not returned. It holds until the\n" +
				"process ends, or --undo.",
			Flags: actFlags(&cli.BoolFlag{Name: flagUndo, Usage: "let it run slots again"}, waitFlag()), Action: settings.OnSchema("scale", 1, nodeNamed, drain),
		},
		{
			Name: "pause", Usage: "let no node consume a queue, or one node not", ArgsUsage: "QUEUE",
			Description: "Messages stay in the queue. The worker's timer, if it has one, goes on.",
			Flags:       actFlags(nodeFlag(), waitFlag()), Action: settings.OnSchema("scale", 1, queueNamed, pause(true)),
		},
		{
			Name: "resume", Usage: "consume a queue again after `composerp worker pause`", ArgsUsage: "QUEUE",
			Flags: actFlags(nodeFlag(), waitFlag()), Action: settings.OnSchema("scale", 1, queueNamed, pause(false)),
		},
	}
}

const (
	flagNodes = "nodes"
	flagNode  = "node"
	flagUndo  = "undo"
	flagWait  = "wait"
)

// ListFlags are the flags of commands that read as `worker list` does.
func ListFlags(more ...cli.Flag) []cli.Flag {
	return append(settings.BrokerFlags(append(settings.DatabaseFlags(), more...)...), settings.LogFlag("error"))
}

func actFlags(more ...cli.Flag) []cli.Flag {
	return settings.DatabaseFlags(append(more, settings.ReasonFlag(), settings.FlagOf(settings.FlagOperator))...)
}

func nodeFlag() cli.Flag {
	return &cli.StringFlag{Name: flagNode, Usage: "on this node only, until that process ends (see `composerp worker list --nodes`)"}
}

func waitFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagWait, Usage: "return when it is so, at most a minute"}
}

// known finds a worker by its name.
func known(name string) (worker.Worker, error) {
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Name() == name {
			return w, nil
		}
	}
	return worker.Worker{}, exit.Usage("there is no worker %q; %sthere are %s", name, terminal.Suggest(name, workers.Names()), strings.Join(workers.Names(), ", "))
}

// queueNamed reads the one argument that names a queue.
func queueNamed(cctx *cli.Context) (worker.Worker, error) {
	if cctx.NArg() != 1 {
		return worker.Worker{}, exit.Usage("name one queue by its worker: %s", strings.Join(workers.Names(), ", "))
	}
	return known(strings.TrimPrefix(cctx.Args().First(), "composerp."))
}

// nodeNamed reads the one argument that names a node.
func nodeNamed(cctx *cli.Context) (string, error) {
	if cctx.NArg() != 1 {
		return "", exit.Usage("name one node; `composerp worker list --nodes` shows them")
	}
	return cctx.Args().First(), nil
}
