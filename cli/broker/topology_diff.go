package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/topology/roles"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store/grants"
	"github.com/composerp/composerp/workers"
)

func topologyDiffCommand() *cli.Command {
	return &cli.Command{
		Name: "diff", Usage: "compare the broker with what the fleet needs",
		Description: "Reads everything named composerp.* in the virtual host from the management API. Missing: `composerp topology apply`\n" +
			"declares it. Mismatch: it cannot be changed in place; empty and delete the queue or exchange, then apply. Extra: it\n" +
			"does no harm until messages gather in it; `composerp topology unbind` removes extra bindings of the fleet's queues,\n" +
			"other objects only you delete. Changed: a policy or an operator policy makes queues behave otherwise than their\n" +
			"arguments say; clear it, or make its pattern leave out composerp.*. Exits 2 when anything differs.",
		Flags: append(settings.BrokerFlags(terminal.OutputFlag()), settings.FlagOf(settings.FlagDir)), Action: topologyDiff,
	}
}

func topologyDiff(cctx *cli.Context) error {
	b, err := observedBroker(cctx)
	if err != nil {
		return err
	}
	vhost, found := b.vhost, b.needed.Diff(b.have)
	changed, err := b.policyDifferences(cctx.Context)
	if err != nil {
		return err
	}
	found = append(found, changed...)
	err = terminal.Show(cctx, found, func(w io.Writer) {
		if len(found) == 0 {
			return
		}
		terminal.Table(w, found, []any{"STATE", "KIND", "NAME", "WHAT"}, func(d *topology.Difference) []any {
			return []any{d.State, d.Kind, d.Name, d.String()}
		})
	})
	if err != nil || len(found) == 0 {
		terminal.Say(cctx, "the virtual host %s has what the fleet needs, and nothing else named composerp.*", vhost)
		return err
	}
	terminal.Say(cctx, "%d differences; `composerp topology diff --help` explains what to do", len(found))
	return exit.Findings("the broker differs")
}

// observed is a broker, and what it has.
type observed struct {
	settings.Endpoints
	management *management.Client
	vhost      string
	have       topology.Topology
	needed     topology.Topology
}

// policyDifferences reads what the broker's policies change.
func (b observed) policyDifferences(ctx context.Context) ([]topology.Difference, error) {
	queues, err := b.management.Queues(ctx, b.vhost)
	if err != nil {
		return nil, err
	}
	var found []topology.Difference
	for _, effect := range b.needed.PolicyEffects(queues) {
		found = append(found, effect.Difference())
	}
	return found, nil
}

// observedBroker reads what the broker has.
func observedBroker(cctx *cli.Context) (b observed, err error) {
	if b.Endpoints, err = settings.Discover(cctx); err != nil {
		return b, err
	}
	broker, err := settings.BrokerConfig(b.Endpoints.As(roles.Topology), nil)
	if err != nil {
		return b, err
	}
	if b.vhost, err = broker.Vhost(); err != nil {
		return b, err
	}
	b.needed = needed(cctx, b.Endpoints)
	b.management, err = settings.ManagementClient(b.Endpoints)
	if err == nil && b.management == nil {
		err = exit.Misconfigured("no management API is known: set COMPOSERP_MANAGEMENT_URL, http://user:password@host:15672")
	}
	if err == nil {
		b.have, err = b.management.Topology(cctx.Context, b.vhost)
	}
	return b, err
}

const (
	flagVhost     = "vhost"
	flagWithUsers = "with-users"
)

func topologyExportCommand() *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "print them as definitions.json, for RabbitMQ's own import",
		Description: "For `rabbitmqctl import_definitions FILE`, the management UI, or a broker that loads definitions at its start. The\n" +
			"file has the virtual host, and with --with-users a user for each part of the fleet, with what it may do. Their\n" +
			"passwords are those of the file of --secrets, as hashes; without one the users cannot log in until they get a\n" +
			"password: rabbitmqctl change_password USER PASSWORD. Other users stay as they are.",
		Flags: append(settings.BrokerFlags(
			&cli.StringFlag{Name: flagVhost, Usage: "virtual host to create; default that of the broker's URL, else composerp"},
			&cli.BoolFlag{Name: flagWithUsers, Usage: "the fleet's users and their permissions too"},
		), settings.FlagOf(settings.FlagDir)),
		Action: topologyExport,
	}
}

func topologyExport(cctx *cli.Context) error {
	vhost := strings.TrimSpace(cctx.String(flagVhost))
	e, err := settings.Discover(cctx)
	if err != nil {
		return err
	}
	e = e.As(roles.Topology).AsRole(grants.Migrator)
	if vhost == "" {
		vhost = "composerp"
		if e.AMQP != "" {
			broker, err := settings.BrokerConfig(e, nil)
			if err != nil {
				return err
			}
			if vhost, err = broker.Vhost(); err != nil {
				return err
			}
		}
	}
	needs := needed(cctx, e).Definitions(vhost)
	var definitions any = needs
	if cctx.Bool(flagWithUsers) {
		subs := workers.Subscriptions()
		urls, err := settings.Secrets(cctx)
		if err != nil {
			return err
		}
		logins := urls.Logins(subs)
		if len(logins) == 0 {
			terminal.Say(cctx, "the users have no passwords: give --%s FILE (`composerp secrets create` writes one), or rabbitmqctl change_password each", settings.FlagSecrets)
		}
		definitions = roles.Definitions{Definitions: needs, Access: roles.AccessTo(vhost, roles.Of(subs), logins)}
	}
	text, err := json.MarshalIndent(definitions, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cctx.App.Writer, "%s\n", text)
	return err
}

func topologyUnbindCommand() *cli.Command {
	return &cli.Command{
		Name: "unbind", Usage: "remove bindings of the fleet's queues that it no longer needs",
		Description: "For after an upgrade, once no older fleet runs: such a binding sends a worker events that it ignores, which costs only\n" +
			"time. Queues, exchanges and bindings of others stay. `composerp topology diff` shows these bindings as extra.",
		Flags:  append(notedFlags(terminal.OutputFlag(), &cli.BoolFlag{Name: "dry-run", Usage: "only list them"}), settings.FlagOf(settings.FlagDir)),
		Action: topologyUnbind,
	}
}

func topologyUnbind(cctx *cli.Context) error {
	b, err := observedBroker(cctx)
	if err != nil {
		return err
	}
	surplus := append([]topology.BindingSpec{}, b.needed.Surplus(b.have)...)
	if !cctx.Bool("dry-run") && len(surplus) > 0 {
		broker, err := settings.BrokerConfig(b.Endpoints.As(roles.Topology), nil)
		if err != nil {
			return err
		}
		broker.Name = "topology"
		note(cctx, "topology unbind", surplus)
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
		terminal.Say(cctx, "%s would be removed", wording.Count(int64(len(surplus)), "binding"))
	default:
		terminal.Say(cctx, "%s removed", wording.Count(int64(len(surplus)), "binding"))
	}
	return nil
}
