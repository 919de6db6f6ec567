package cli

import (
	"encoding/json"
	"io"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/workers"
)

func topologyCommand() *cli.Command {
	return &cli.Command{
		Name:  "topology",
		Usage: "the exchanges, queues and bindings that the fleet needs",
		Subcommands: []*cli.Command{
			{Name: "show", Usage: "print them", Flags: []cli.Flag{outputFlag()}, Action: topologyShow},
			{
				Name: "apply", Usage: "declare them at the broker; what is there already stays",
				Flags: append(brokerFlags(), dirFlag(), logFlag("warn")), Action: topologyApply,
			},
			topologyDiffCommand(), topologyExportCommand(),
		},
	}
}

func topologyShow(cctx *cli.Context) error {
	if err := noArguments(cctx); err != nil {
		return err
	}
	t := workers.Topology()
	return show(cctx, t, func(w io.Writer) {
		row(w, "EXCHANGE", "TYPE", "ARGUMENTS")
		for _, e := range t.Exchanges {
			row(w, e.Name, e.Kind, arguments(e.Arguments))
		}
		row(w)
		row(w, "QUEUE", "BOUND TO", "ARGUMENTS")
		for _, q := range t.Queues {
			var bound []string
			for _, b := range t.Bindings {
				if b.Queue == q.Name {
					bound = append(bound, b.Exchange+" "+b.RoutingKey)
				}
			}
			slices.Sort(bound)
			for i := range max(1, len(bound)) {
				name, to, args := "", "", ""
				if i == 0 {
					name, args = q.Name, arguments(q.Arguments)
				}
				if i < len(bound) {
					to = bound[i]
				}
				row(w, name, to, args)
			}
		}
	})
}

// arguments are a table of AMQP on one line.
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
	if err := noArguments(cctx); err != nil {
		return err
	}
	log, err := logger(cctx)
	if err != nil {
		return err
	}
	e, err := discover(cctx)
	if err != nil {
		return err
	}
	broker, err := brokerConfig(e, log)
	if err != nil {
		return err
	}
	broker.Name = "topology"
	t := workers.Topology()
	if err := t.Apply(cctx.Context, broker); err != nil {
		return err
	}
	say(cctx, "%d exchanges, %d queues and %d bindings are in place", len(t.Exchanges), len(t.Queues), len(t.Bindings))
	return nil
}
