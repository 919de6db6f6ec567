package pools

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/parking"
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
		if w.Ordered() {
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
	if err == nil && !w.Ordered() {
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

// laneRow is one line of `lanes list`.
type laneRow struct {
	Queue  string `json:"queue"`
	Lanes  int    `json:"lanes"`  // that are handled; 0: off
	Wanted int    `json:"wanted"` // what `lanes set` has asked for
	Owned  int    `json:"owned"`
	Held   int    `json:"held"`
	Parked int64  `json:"parked"`
	Why    string `json:"why"`
	DryRun bool   `json:"dryRun,omitempty"`
}

func readLaneRows(cctx *cli.Context, db *store.DB) (rows []laneRow, sets []lanes.Set, err error) {
	if sets, err = lanes.Sets(cctx.Context, db); err != nil {
		return nil, nil, err
	}
	all, err := lanes.All(cctx.Context, db)
	if err != nil {
		return nil, nil, err
	}
	held, err := parking.List(cctx.Context, db)
	if err != nil {
		return nil, nil, err
	}
	unowned, err := lanes.Unowned(cctx.Context, db)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range orderedNames() {
		s := lanes.Of(sets, name)
		r := laneRow{Queue: name, Lanes: s.Consumed, Wanted: s.Wanted}
		drained := 0
		for _, l := range all {
			if l.Queue != name || l.Number == lanes.Entrance {
				continue
			}
			if l.Node != nil {
				r.Owned++
			}
			if l.Drained {
				drained++
			}
		}
		dead := 0
		for _, h := range held {
			if h.Consumer == name {
				r.Held++
				r.Parked += h.Parked
				if h.Dead {
					dead++
				}
			}
		}
		r.Why = whyLanes(s, drained, dead, unowned[name])
		rows = append(rows, r)
	}
	return rows, sets, nil
}

// whyLanes says what stands behind the numbers, what needs attention first.
func whyLanes(s lanes.Set, drained, dead, unowned int) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if unowned > 0 {
		add("%d lanes have no node: start one with `composerp worker run %s`", unowned, s.Queue)
	}
	switch {
	case s.Switching() && s.Consumed == 0:
		add("switching to %d: the queue is being emptied", s.Routed)
	case s.Switching():
		add("switching to %s: %d of %d old lanes are empty", lanesOrOff(s.Routed), drained, s.Consumed)
	case s.Wanted != s.Routed:
		add("the leader has not begun to switch")
	}
	if dead > 0 {
		add("%d aggregates wait for a dead letter: `composerp dlq redrive --queue %s` lets them go on, in order", dead, s.Queue)
	}
	return strings.Join(parts, "; ")
}

func lanesOrOff(n int) string {
	if n == 0 {
		return "off"
	}
	return strconv.Itoa(n)
}

func lanesList(cctx *cli.Context, db *store.DB, _ struct{}) error {
	rows, _, err := readLaneRows(cctx, db)
	if err != nil {
		return err
	}
	return showLanes(cctx, rows)
}

func showLanes(cctx *cli.Context, rows []laneRow) error {
	return terminal.ShowRows(cctx, rows, []any{"QUEUE", "LANES", "WANTED", "OWNED", "HELD", "PARKED", "WHY"}, func(r *laneRow) []any {
		return []any{r.Queue, lanesOrOff(r.Lanes), lanesOrOff(r.Wanted), r.Owned, r.Held, r.Parked, r.Why}
	})
}

// laneDescription is what `lanes describe` shows.
type laneDescription struct {
	laneRow
	All        []lanes.Lane            `json:"owners"`
	Aggregates []parking.HeldAggregate `json:"aggregates"`
}

func lanesDescribe(cctx *cli.Context, db *store.DB, w worker.Worker) error {
	rows, _, err := readLaneRows(cctx, db)
	if err != nil {
		return err
	}
	d := laneDescription{All: []lanes.Lane{}, Aggregates: []parking.HeldAggregate{}}
	for _, r := range rows {
		if r.Queue == w.Name() {
			d.laneRow = r
		}
	}
	all, err := lanes.All(cctx.Context, db)
	if err != nil {
		return err
	}
	held, err := parking.List(cctx.Context, db)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Queue == w.Name() {
			d.All = append(d.All, l)
		}
	}
	for _, h := range held {
		if h.Consumer == w.Name() {
			d.Aggregates = append(d.Aggregates, h)
		}
	}
	return terminal.Show(cctx, d, func(out io.Writer) { d.write(out) })
}

func (d laneDescription) write(out io.Writer) {
	terminal.Row(out, "queue", d.Queue)
	terminal.Row(out, "lanes", lanesOrOff(d.Lanes))
	terminal.Row(out, "wanted", lanesOrOff(d.Wanted))
	terminal.Row(out, "why", d.Why)
	fmt.Fprintln(out)
	terminal.Table(out, d.All, []any{"LANE", "NODE", "SINCE", "STATE"}, func(l *lanes.Lane) []any {
		number, node, state := strconv.Itoa(l.Number), "-", "handled"
		if l.Number == lanes.Entrance {
			number = "entrance"
		}
		switch {
		case l.Node == nil:
			state = "no node"
		case l.Leaving:
			node, state = *l.Node, "moving"
		default:
			node = *l.Node
		}
		if l.Drained {
			state += ", empty"
		}
		return []any{number, node, terminal.Moment(l.Since), state}
	})
	fmt.Fprintln(out)
	terminal.Table(out, d.Aggregates, []any{"TENANT", "AGGREGATE", "WAITS FOR", "WHICH IS", "SINCE", "PARKED"}, func(h *parking.HeldAggregate) []any {
		state := map[bool]string{true: "dead", false: "retried"}[h.Dead]
		return []any{h.Tenant, h.ID, h.Head, state, terminal.Moment(h.Since), h.Parked}
	})
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
	deadline := time.Now().Add(settleTime)
	for cctx.Bool(flagWait) {
		rows, sets, err := readLaneRows(cctx, db)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(rows, func(r laneRow) bool { return r.Queue == queue })
		if s := lanes.Of(sets, queue); s.Settled() && rows[i].Owned == s.Consumed {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s the lanes of %s are not as wanted; `composerp lanes list` shows how it goes on", settleTime, queue)
		}
		if !clock.Sleep(cctx.Context, settlePoll) {
			return errors.New("interrupted; what was asked for stays")
		}
	}
	return nil
}
