// Package broker has the commands that inspect and change the topology at the broker.
package broker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/stream"
	"github.com/composerp/composerp/workers"
)

// Command is the command `topology`.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "topology",
		Usage: "the exchanges, queues and bindings that the fleet needs",
		Subcommands: []*cli.Command{
			{Name: "show", Usage: "print exchanges, queues and bindings", Flags: settings.DatabaseFlags(), Action: topologyShow},
			{
				Name: "apply", Usage: "declare them at the broker; existing ones stay",
				Flags: append(notedFlags(), settings.FlagOf(settings.FlagDir), settings.LogFlag("warn")), Action: topologyApply,
			},
			topologyDiffCommand(), topologyUnbindCommand(), topologyExportCommand(),
		},
	}
}

// needed is what the fleet needs, with the lanes that its queues have now, and the stream where it is on. Where no
// database tells of them there are none.
func needed(cctx *cli.Context, e settings.Endpoints) topology.Topology {
	if e.Database == "" {
		return workers.Topology()
	}
	db, err := settings.OpenDatabase(cctx.Context, e, "topology", 1)
	if err == nil {
		defer db.Close()
		var t topology.Topology
		if t, err = topologyNow(cctx.Context, db); err == nil {
			return t
		}
	}
	if !errors.Is(err, store.ErrSchema) { // else no queue ever had lanes
		terminal.Say(cctx, "whether queues have lanes, and the stream is on, is not known: %s", exit.OneLine(err))
	}
	return workers.Topology()
}

func topologyNow(ctx context.Context, db *store.DB) (topology.Topology, error) {
	t, err := workers.TopologyNow(ctx, db)
	if err != nil {
		return t, err
	}
	setting, err := stream.Read(ctx, db)
	return setting.AddTo(t), err
}

func topologyShow(cctx *cli.Context) error {
	e, err := settings.Discover(cctx)
	if err != nil {
		return err
	}
	t := needed(cctx, e)
	return terminal.Show(cctx, t, func(w io.Writer) {
		terminal.Row(w, "EXCHANGE", "TYPE", "BOUND TO", "ARGUMENTS")
		for _, e := range t.Exchanges {
			to := bound(t, func(b topology.BindingSpec) bool { return b.To == e.Name })
			terminal.Row(w, e.Name, e.Kind, to[0], arguments(e.Arguments))
			for _, more := range to[1:] {
				terminal.Row(w, "", "", more, "")
			}
		}
		terminal.Row(w)
		terminal.Row(w, "QUEUE", "BOUND TO", "ARGUMENTS")
		for _, q := range t.Queues {
			to := bound(t, func(b topology.BindingSpec) bool { return b.Queue == q.Name })
			terminal.Row(w, q.Name, to[0], arguments(q.Arguments))
			for _, more := range to[1:] {
				terminal.Row(w, "", more, "")
			}
		}
	})
}

// bound gives a line for each exchange that the target is bound to, with its keys; one line at least.
func bound(t topology.Topology, its func(topology.BindingSpec) bool) []string {
	var to []string
	for _, b := range t.Bindings {
		if its(b) {
			to = append(to, b.Exchange+" "+b.Condition())
		}
	}
	if to == nil {
		return []string{""}
	}
	slices.Sort(to)
	return to
}

// arguments formats an AMQP table on one line.
func arguments(table map[string]any) string {
	if len(table) == 0 {
		return ""
	}
	raw, err := json.Marshal(table) // keys in order
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

func topologyApply(cctx *cli.Context) error {
	e, err := settings.Discover(cctx)
	if err != nil {
		return err
	}
	broker, err := settings.LoggedBroker(cctx, e.As(roles.Topology), "topology")
	if err != nil {
		return err
	}
	t := needed(cctx, e)
	note(cctx, "topology apply", nil)
	if err := rabbitmq.Apply(cctx.Context, t, broker); err != nil {
		return err
	}
	terminal.Say(cctx, "%d exchanges, %d queues and %d bindings are in place", len(t.Exchanges), len(t.Queues), len(t.Bindings))
	return nil
}
