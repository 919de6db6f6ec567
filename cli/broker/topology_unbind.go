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
		Name: "unbind", Usage: "remove bindings of the fleet's queues that it no longer needs",
		Description: "For after an upgrade, once no older fleet runs: such a binding sends a worker events that it ignores, which costs only\n" +
			"time. Queues, exchanges and bindings of others stay. `composerp topology diff` shows these bindings as extra.",
		Flags:  append(settings.BrokerFlags(terminal.OutputFlag(), &cli.BoolFlag{Name: "dry-run", Usage: "only list them"}), settings.FlagOf(settings.FlagDir)),
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
		terminal.Say(cctx, "the fleet's queues have no binding that it does not need")
	case cctx.Bool("dry-run"):
		terminal.Say(cctx, "%s would be removed", terminal.Plural(len(surplus), "binding"))
	default:
		terminal.Say(cctx, "%s removed", terminal.Plural(len(surplus), "binding"))
	}
	return nil
}
