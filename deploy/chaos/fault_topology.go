package chaos

import (
	"context"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/workers"
)

// The fleet itself heals these faults: its watchdog declares what is missing and publishes the lost messages again from
// the log.

// loggedOnly are the workers whose events all come through the log. Only their queues and bindings are deleted,
// because a message that came straight over AMQP and has not reached intake cannot be published again.
func loggedOnly() (names []string) {
	for _, w := range workers.Fleet(workers.Config{}) {
		if w.Queue() == topology.QueueName(w.Name()) && !slices.Contains(w.Types(), event.TypeSaleCompleted) {
			names = append(names, w.Name())
		}
	}
	return names
}

func oneOf[T any](list []T, dice uint64) T { return list[dice%uint64(len(list))] }

func queueDeleted(ctx context.Context, env *environment, dice uint64) (heal, error) {
	return nothing, env.management.DeleteQueue(ctx, env.vhost, topology.QueueName(oneOf(loggedOnly(), dice)))
}

func bindingRemoved(ctx context.Context, env *environment, dice uint64) (heal, error) {
	queue := topology.QueueName(oneOf(loggedOnly(), dice))
	var bindings []topology.BindingSpec
	for _, b := range workers.Topology().Bindings {
		if b.Queue == queue && b.Exchange == topology.Events {
			bindings = append(bindings, b)
		}
	}
	return nothing, rabbitmq.Unbind(ctx, env.broker, bindings)
}

// exchangeDeleted deletes an exchange with all its bindings. While composerp.events is declared again, a message that
// is not an event reaches only the queues that are bound already, intake's first.
func exchangeDeleted(ctx context.Context, env *environment, dice uint64) (heal, error) {
	name := oneOf([]string{topology.Events, topology.Retry, topology.Dead}, dice)
	if name == topology.Events {
		env.eventsDeleted.Store(true)
	}
	return nothing, env.management.DeleteExchange(ctx, env.vhost, name)
}

// permissionTaken revokes all permissions and closes all connections: an open channel keeps the permissions it had.
func permissionTaken(ctx context.Context, env *environment, dice uint64) (heal, error) {
	back := func(ctx context.Context) error { return env.management.Import(ctx, env.access.all(env.vhost)) }
	if err := env.management.Import(ctx, env.access.none(env.vhost)); err != nil {
		return back, err
	}
	_, err := connectionsClosed(ctx, env, dice)
	return back, err
}
