package pools

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/parking"
	"github.com/composerp/composerp/workers/worker"
)

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
