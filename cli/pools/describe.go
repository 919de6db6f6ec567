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
	"github.com/composerp/composerp/workers/runtime/scaler"
	"github.com/composerp/composerp/workers/worker"
)

// eventsShown is how many of the last changes `worker describe` shows.
const eventsShown = 20

// description is what `worker describe` shows.
type description struct {
	Queue
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
	d := description{Queue: queueOf(w), MaxPerNode: p.MaxPerNode, Labels: append([]string{}, p.Labels...), Nodes: []nodeSlots{}}
	decided, err := scaling.Decisions(cctx.Context, db)
	if err != nil {
		return err
	}
	sets, err := lanes.Sets(cctx.Context, db)
	if err != nil {
		return err
	}
	slotsKnown{known: true, state: s, reports: reports, decided: decided, sets: sets}.fill(&d.Queue)
	for _, n := range s.Nodes {
		if _, offered := n.Offers(w.Name()); !offered || !n.Alive {
			continue
		}
		slots := nodeSlots{Node: n.ID, Planned: scaler.Planned(s, n, w.Name()), Draining: n.Draining}
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
	terminal.Row(out, "queue", d.Queue.Queue)
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
		return []any{terminal.Moment(e.At), node, SlotsOrFlags(e.Before), SlotsOrFlags(e.After), by, e.Reason}
	})
}

// Node is one line of `worker list --nodes` and of `top`.
type Node struct {
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
	return terminal.ShowRows(cctx, nodesOf(s, reports), []any{"NODE", "STATE", "SLOTS", "CAPACITY", "SEEN", "VERSION", "LABELS", "PAUSED", "WORKERS"}, func(r *Node) []any {
		return []any{r.Node, r.State, r.Slots, r.Capacity, r.Seen(), r.Version, strings.Join(r.Labels, ","),
			strings.Join(r.Paused, ","), strings.Join(r.Queues, ",")}
	})
}

func nodesOf(s scaling.State, reports []scaling.Report) []Node {
	nodes := make([]Node, 0, len(s.Nodes))
	for _, n := range s.Nodes {
		r := Node{Node: n.ID, State: "up", Version: n.Version, Capacity: n.Capacity, Labels: append([]string{}, n.Labels...),
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
		nodes = append(nodes, r)
	}
	return nodes
}

// Seen tells for how long the node has not renewed its lease.
func (n Node) Seen() string { return length(float64(n.Silent)) + " ago" }
