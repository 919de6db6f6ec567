package pools

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker"
)

// LanesCommand is the command `lanes`.
func LanesCommand() *cli.Command {
	return &cli.Command{
		Name: "lanes", Usage: "handle the events of an aggregate in order: divide a worker's queue into lanes",
		Subcommands: []*cli.Command{
			{
				Name: "list", Usage: "list the ordered workers, their lanes, and what waits behind an event that failed",
				Description: "OWNED: lanes that a living node handles. HELD: aggregates that wait for an event that failed, in a retry queue or\n" +
					"among the dead letters; PARKED: their later events, which are handled after it, in order.",
				Flags: settings.DatabaseFlags(), Action: settings.OnSchema("lanes", 1, settings.Nothing, lanesList),
			},
			{
				Name: "describe", Usage: "show each lane with its node, and the aggregates that are held", ArgsUsage: "QUEUE",
				Flags: settings.DatabaseFlags(), Action: settings.OnSchema("lanes", 1, orderedNamed, lanesDescribe),
			},
			{
				Name: "set", Usage: "set how many lanes a queue has, also with messages in it and under load", ArgsUsage: "QUEUE N|off",
				Description: fmt.Sprintf("N is one of %s; %d is usual. The leader switches step by step: new lanes are bound, old ones unbound, emptied,\n"+
					"and only then are the new ones handled. Nothing is lost, and no aggregate's events change their order.",
					countsText(), topology.DefaultLanes),
				Flags:  actFlags(waitFlag(), &cli.BoolFlag{Name: settings.FlagDryRun, Usage: "say what would be done"}),
				Action: settings.OnSchema("lanes", 1, lanesAsked, lanesSet),
			},
		},
	}
}

func countsText() string {
	texts := make([]string, len(topology.LaneCounts))
	for i, n := range topology.LaneCounts {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ", ")
}

// orderedNames are the workers whose queues can have lanes.
func orderedNames() (names []string) {
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Subscription().Ordered {
			names = append(names, w.Name())
		}
	}
	return names
}

// orderedNamed reads an argument that names an ordered worker's queue.
func orderedNamed(cctx *cli.Context) (worker.Worker, error) {
	if cctx.NArg() == 0 {
		return worker.Worker{}, exit.Usage("name a queue whose worker is ordered: %s", strings.Join(orderedNames(), ", "))
	}
	w, err := known(strings.TrimPrefix(cctx.Args().First(), "composerp."))
	if err == nil && !w.Subscription().Ordered {
		return w, exit.Usage("worker %s is not declared as ordered; those that are: %s", w.Name(), strings.Join(orderedNames(), ", "))
	}
	return w, err
}

// lanesWanted is what `lanes set` asks for.
type lanesWanted struct {
	queue string
	lanes int
}

func lanesAsked(cctx *cli.Context) (asked lanesWanted, err error) {
	w, err := orderedNamed(cctx)
	if err != nil {
		return asked, err
	}
	asked.queue = w.Name()
	number := cctx.Args().Get(1)
	if number == "off" && cctx.NArg() == 2 {
		return asked, nil
	}
	asked.lanes, err = strconv.Atoi(number)
	if err != nil || cctx.NArg() != 2 || !slices.Contains(topology.LaneCounts, asked.lanes) {
		return asked, exit.Usage("%q: want one of %s lanes, or off", number, countsText())
	}
	return asked, nil
}

func lanesSet(cctx *cli.Context, db *store.DB, asked lanesWanted) error {
	rows, sets, err := readLaneRows(cctx, db)
	if err != nil {
		return err
	}
	its := func(r laneRow) bool { return r.Queue == asked.queue }
	if lanes.Of(sets, asked.queue).Wanted == asked.lanes {
		terminal.Say(cctx, "nothing changes: %s is set to %s already", asked.queue, lanesOrOff(asked.lanes))
	} else if cctx.Bool(settings.FlagDryRun) {
		i := slices.IndexFunc(rows, its)
		rows[i].Wanted, rows[i].DryRun, rows[i].Why = asked.lanes, true, "would be switched"
		return showLanes(cctx, rows[i:i+1])
	} else if _, err := lanes.Want(cctx.Context, db, settings.By(cctx), asked.queue, asked.lanes); err != nil {
		return err
	}
	late := settleLanes(cctx, db, asked.queue)
	if rows, _, err = readLaneRows(cctx, db); err != nil {
		return err
	}
	i := slices.IndexFunc(rows, its)
	if err := showLanes(cctx, rows[i:i+1]); err != nil {
		return err
	}
	return late
}

// settleLanes waits, with --wait, until the lanes are as they are wanted and each has a node.
func settleLanes(cctx *cli.Context, db *store.DB, queue string) error {
	if !cctx.Bool(flagWait) {
		return nil
	}
	late, err := await(cctx, "lanes list", func() (string, error) {
		rows, sets, err := readLaneRows(cctx, db)
		if err != nil {
			return "", err
		}
		i := slices.IndexFunc(rows, func(r laneRow) bool { return r.Queue == queue })
		if s := lanes.Of(sets, queue); s.Settled() && rows[i].Owned == s.Consumed {
			return "", nil
		}
		return fmt.Sprintf("the lanes of %s are not as wanted", queue), nil
	})
	return cmp.Or(err, late)
}
