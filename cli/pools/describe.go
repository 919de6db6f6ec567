package pools

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/worker"
)

// eventsShown is how many of the last changes `worker describe` shows.
const eventsShown = 20

// description is what `worker describe` shows.
type description struct {
	row
	MaxPerNode *int            `json:"maxPerNode"`
	Labels     []string        `json:"labels"`
	Nodes      []nodeSlots     `json:"nodes"`
	Changes    []scaling.Event `json:"changes"`
}

// nodeSlots are a queue's slots of one node.
type nodeSlots struct {
	Node     string `json:"node"`
	Planned  int    `json:"planned"`
	Running  int    `json:"running"`
	Busy     int    `json:"busy"`
	Draining bool   `json:"draining"`
}

func describe(cctx *cli.Context, db *store.DB, w worker.Worker) error {
	s, reports, err := scaling.Read(cctx.Context, db)
	if err != nil {
		return err
	}
	p := s.Pool(w.Name())
	d := description{row: rowOf(w), MaxPerNode: p.MaxPerNode, Labels: append([]string{}, p.Labels...), Nodes: []nodeSlots{}}
	decided, err := scaling.Decisions(cctx.Context, db)
	if err != nil {
		return err
	}
	sets, err := lanes.Sets(cctx.Context, db)
	if err != nil {
		return err
	}
	slotsKnown{known: true, state: s, reports: reports, decided: decided, sets: sets}.fill(&d.row)
	for _, n := range s.Nodes {
		if _, offered := n.Offers(w.Name()); !offered || !n.Alive {
			continue
		}
		slots := nodeSlots{Node: n.ID, Planned: plannedOf(s, n, w.Name()), Draining: n.Draining}
		for _, r := range reports {
			if r.Node == n.ID && r.Queue == w.Name() {
				slots.Running, slots.Busy = r.Running, r.Busy
			}
		}
		d.Nodes = append(d.Nodes, slots)
	}
	if d.Changes, err = scaling.Events(cctx.Context, db, w.Name(), eventsShown); err != nil {
		return err
	}
	return terminal.Show(cctx, d, func(out io.Writer) { d.write(out) })
}

func (d description) write(out io.Writer) {
	terminal.Row(out, "queue", d.Queue)
	terminal.Row(out, "consumes", strings.Join(d.Consumes, " "))
	terminal.Row(out, "mode", d.Mode)
	terminal.Row(out, "desired", terminal.NumberOr(d.Desired))
	terminal.Row(out, "running", terminal.NumberOr(d.Running))
	terminal.Row(out, "most on a node", terminal.NumberOr(d.MaxPerNode))
	terminal.Row(out, "labels", strings.Join(d.Labels, ","))
	terminal.Row(out, "why", d.Why)
	fmt.Fprintln(out)
	terminal.Table(out, d.Nodes, []any{"NODE", "PLANNED", "RUN", "BUSY", "DRAINS"}, func(n *nodeSlots) []any {
		return []any{n.Node, n.Planned, n.Running, n.Busy, terminal.YesNo(n.Draining)}
	})
	fmt.Fprintln(out)
	terminal.Table(out, d.Changes, []any{"AT", "NODE", "BEFORE", "AFTER", "BY", "REASON"}, func(e *scaling.Event) []any {
		node, by := e.Node, e.By
		if node == "" {
			node = "all"
		}
		if by == "" {
			by = "leader"
		}
		return []any{terminal.Moment(e.At), node, slotsOrFlags(e.Before), slotsOrFlags(e.After), by, e.Reason}
	})
}

// nodeRow is one line of `worker list --nodes`.
type nodeRow struct {
	Node     string   `json:"node"`
	State    string   `json:"state"` // up, draining or lost
	Version  string   `json:"version"`
	Slots    int      `json:"slots"`
	Capacity int      `json:"capacity"`
	Labels   []string `json:"labels"`
	Queues   []string `json:"queues"`
	Paused   []string `json:"paused"`
	Silent   int      `json:"silentSeconds"`
}

func listNodes(cctx *cli.Context) error {
	db, _, err := settings.OpenSchema(cctx, "scale", 1)
	if err != nil {
		return err
	}
	defer db.Close()
	s, reports, err := scaling.Read(cctx.Context, db)
	if err != nil {
		return err
	}
	var rows []nodeRow
	for _, n := range s.Nodes {
		r := nodeRow{Node: n.ID, State: "up", Version: n.Version, Capacity: n.Capacity, Labels: append([]string{}, n.Labels...),
			Queues: n.Queues, Paused: append([]string{}, n.Paused...), Silent: max(0, int(n.SilentFor))}
		if n.Draining {
			r.State = "draining"
		}
		if !n.Alive {
			r.State = "lost"
		}
		for _, report := range s.Living(reports) {
			if report.Node == n.ID {
				r.Slots += report.Running
			}
		}
		rows = append(rows, r)
	}
	return terminal.ShowRows(cctx, rows, []any{"NODE", "STATE", "SLOTS", "CAPACITY", "SEEN", "VERSION", "LABELS", "PAUSED", "WORKERS"}, func(r *nodeRow) []any {
		return []any{r.Node, r.State, r.Slots, r.Capacity, length(float64(r.Silent)) + " ago", r.Version, strings.Join(r.Labels, ","),
			strings.Join(r.Paused, ","), strings.Join(r.Queues, ",")}
	})
}
