package pools

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/worker"
)

// acted is what drain, pause and resume show.
type acted struct {
	Queue   string   `json:"queue,omitempty"`
	Node    string   `json:"node,omitempty"`
	Changed bool     `json:"changed"`
	Left    []string `json:"left,omitempty"` // queues that no other node runs
}

// living finds a node that is alive; the error names those that are.
func living(cctx *cli.Context, db *store.DB, id string) (scaling.State, scaling.Node, error) {
	s, _, err := scaling.Read(cctx.Context, db)
	if err != nil {
		return s, scaling.Node{}, err
	}
	var ids []string
	for _, n := range s.Nodes {
		if n.ID == id && n.Alive {
			return s, n, nil
		}
		if n.Alive {
			ids = append(ids, n.ID)
		}
	}
	if len(ids) == 0 {
		return s, scaling.Node{}, exit.Usage("there is no node %q, and no other either: no process runs workers", id)
	}
	return s, scaling.Node{}, exit.Usage("there is no node %q; %sthere are %s", id, terminal.Suggest(id, ids), strings.Join(ids, ", "))
}

func drain(cctx *cli.Context, db *store.DB, id string) error {
	s, node, err := living(cctx, db, id)
	if err != nil {
		return err
	}
	undo := cctx.Bool(flagUndo)
	changed, err := scaling.Drain(cctx.Context, db, settings.By(cctx), id, !undo)
	if err != nil {
		return err
	}
	out := acted{Node: id, Changed: changed}
	if !undo {
		out.Left = leftAlone(s, node)
	}
	_, late, err := settle(cctx, db, node.Queues)
	if err != nil {
		return err
	}
	switch {
	case !changed:
		terminal.Say(cctx, "nothing changes: node %s is so already", id)
	case undo:
		terminal.Say(cctx, "node %s runs slots again", id)
	default:
		terminal.Say(cctx, "node %s drains", id)
	}
	if len(out.Left) > 0 {
		terminal.Say(cctx, "no other node runs %s: their messages wait until one does", strings.Join(out.Left, ", "))
	}
	return shown(cctx, out, late)
}

// leftAlone are the queues that have slots on this node and that no other node can run.
func leftAlone(s scaling.State, node scaling.Node) (left []string) {
	for _, queue := range node.Queues {
		if !slices.ContainsFunc(s.Nodes, func(n scaling.Node) bool {
			_, offered := n.Offers(queue)
			return n.ID != node.ID && n.Alive && !n.Draining && offered
		}) {
			left = append(left, queue)
		}
	}
	return left
}

func pause(paused bool) func(*cli.Context, *store.DB, worker.Worker) error {
	return func(cctx *cli.Context, db *store.DB, w worker.Worker) (err error) {
		out := acted{Queue: w.Name(), Node: cctx.String(flagNode)}
		where := "on every node"
		if out.Node == "" {
			out.Changed, err = scaling.Pause(cctx.Context, db, settings.By(cctx), w.Name(), paused)
		} else {
			where = "on " + out.Node
			_, node, unknown := living(cctx, db, out.Node)
			if unknown != nil {
				return unknown
			}
			if _, offered := node.Offers(w.Name()); !offered {
				return exit.Usage("node %s does not run %s; it runs %s", out.Node, w.Name(), strings.Join(node.Queues, ", "))
			}
			out.Changed, err = scaling.PauseOn(cctx.Context, db, settings.By(cctx), out.Node, w.Name(), paused)
		}
		if err != nil {
			return err
		}
		s, late, err := settle(cctx, db, []string{w.Name()})
		if err != nil {
			return err
		}
		terminal.Say(cctx, "%s", PauseText(w.Name(), where, paused, out.Changed))
		if !paused && out.Node == "" {
			for _, n := range s.Nodes {
				if n.Alive && slices.Contains(n.Paused, w.Name()) {
					terminal.Say(cctx, "on node %s it stays paused; --node %[1]s resumes it there", n.ID)
				}
			}
		}
		return shown(cctx, out, late)
	}
}

// PauseText says what came of a pause, or with paused false of a resume.
func PauseText(queue, where string, paused, changed bool) string {
	state := map[bool]string{true: "is paused", false: "is consumed"}[paused]
	if !changed {
		state += " already"
	}
	return queue + " " + state + " " + where
}

// shown writes the result as JSON where that is asked for, and ends with late.
func shown(cctx *cli.Context, out acted, late error) error {
	if cctx.String(terminal.FlagOutput) == "json" {
		if err := terminal.Show(cctx, out, nil); err != nil {
			return err
		}
	}
	return late
}
