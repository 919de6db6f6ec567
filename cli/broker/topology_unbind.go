package broker

import (
	"io"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers"
)

func topologyUnbindCommand() *cli.Command {
	return &cli.Command{
		Name: "unbind", Usage: "take away bindings of the fleet's queues that it no longer needs",
		Description: "After an upgrade, once no older fleet runs: by such a binding a worker is sent what it has no use for, which costs time\n" +
			"and nothing else. Queues, exchanges and other people's bindings stay. `composerp topology diff` shows them as extra.",
		Flags:  append(append([]cli.Flag{terminal.OutputFlag(), &cli.BoolFlag{Name: "dry-run", Usage: "say which, and leave them"}}, settings.BrokerFlags()...), settings.DirFlag()),
		Action: topologyUnbind,
	}
}

func topologyUnbind(cctx *cli.Context) error {
	e, _, have, err := brokersTopology(cctx)
	if err != nil {
		return err
	}
	surplus := append([]topology.BindingSpec{}, workers.Topology().Surplus(have)...)
	if !cctx.Bool("dry-run") && len(surplus) > 0 {
		broker, err := settings.BrokerConfig(e, nil)
		if err != nil {
			return err
		}
		broker.Name = "topology"
		if err := rabbitmq.Unbind(cctx.Context, broker, surplus); err != nil {
			return err
		}
	}
	err = terminal.Show(cctx, surplus, func(w io.Writer) {
		for i, b := range surplus {
			if i == 0 {
				terminal.Row(w, "EXCHANGE", "KEY", "QUEUE")
			}
			terminal.Row(w, b.Exchange, b.RoutingKey, b.Destination())
		}
	})
	switch {
	case err != nil:
		return err
	case len(surplus) == 0:
		terminal.Say(cctx, "the fleet's queues are bound for nothing that it does not need")
	case cctx.Bool("dry-run"):
		terminal.Say(cctx, "%s would be taken away", terminal.Plural(len(surplus), "binding"))
	default:
		terminal.Say(cctx, "%s taken away", terminal.Plural(len(surplus), "binding"))
	}
	return nil
}
