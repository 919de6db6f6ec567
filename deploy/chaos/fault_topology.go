package chaos

import (
	"context"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers"
)

// What is deleted nobody heals but the fleet: its watchdog declares it again and publishes from the log what was lost with it.

// loggedOnly are the workers who hear nothing but what the log has. What came straight over AMQP and has not reached intake nobody can
// bring back, nor a dead letter of what was no event: so it is their queues that are deleted, and their bindings.
func loggedOnly() (names []string) {
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Queue() == topology.QueueName(w.Name()) && !slices.Contains(w.Types(), event.TypeSaleCompleted) {
			names = append(names, w.Name())
		}
	}
	return names
}

func oneOf[T any](list []T, dice uint64) T { return list[dice%uint64(len(list))] }

func queueDeleted(ctx context.Context, h *house, dice uint64) (heal, error) {
	return nothing, h.management.DeleteQueue(ctx, h.vhost, topology.QueueName(oneOf(loggedOnly(), dice)))
}

func bindingRemoved(ctx context.Context, h *house, dice uint64) (heal, error) {
	queue := topology.QueueName(oneOf(loggedOnly(), dice))
	var bindings []topology.BindingSpec
	for _, b := range workers.Topology().Bindings {
		if b.Queue == queue && b.Exchange == topology.Events {
			bindings = append(bindings, b)
		}
	}
	return nothing, rabbitmq.Unbind(ctx, h.broker, bindings)
}

// exchangeDeleted deletes one with all its bindings. While composerp.events is put together again, a message that is no event and comes just
// then is heard by those alone who are bound by then, intake before all others.
func exchangeDeleted(ctx context.Context, h *house, dice uint64) (heal, error) {
	name := oneOf([]string{topology.Events, topology.Retry, topology.Dead}, dice)
	if name == topology.Events {
		h.torn.Store(true)
	}
	return nothing, h.management.DeleteExchange(ctx, h.vhost, name)
}

// permissionTaken has everybody connect anew, and nobody may do anything: an open channel goes on with what it was allowed.
func permissionTaken(ctx context.Context, h *house, dice uint64) (heal, error) {
	back := func(ctx context.Context) error {
		return h.servers.BrokerControl(ctx, "set_permissions", "-p", h.vhost, h.user, ".*", ".*", ".*")
	}
	if err := h.servers.BrokerControl(ctx, "set_permissions", "-p", h.vhost, h.user, "", "", ""); err != nil {
		return back, err
	}
	_, err := connectionsClosed(ctx, h, dice)
	return back, err
}
