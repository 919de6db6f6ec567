package chaos

import (
	"context"
	"syscall"

	"github.com/composerp/composerp/deploy/local"
	"github.com/composerp/composerp/exchange/clock"
)

// halting ends a server by a signal; the heal starts it again.
func halting(which local.Server, by syscall.Signal) injection {
	return func(ctx context.Context, env *environment, _ uint64) (heal, error) {
		err := env.servers.Halt(ctx, which, by)
		return func(ctx context.Context) error { return env.servers.Revive(ctx, which) }, err
	}
}

func brokerPause(_ context.Context, env *environment, _ uint64) (heal, error) {
	err := env.servers.Signal(local.RabbitMQ, syscall.SIGSTOP)
	return func(context.Context) error { return env.servers.Signal(local.RabbitMQ, syscall.SIGCONT) }, err
}

// limiting has the broker run into a limit, which the heal sets back.
func limiting(limit, usual string, low ...string) injection {
	return func(ctx context.Context, env *environment, _ uint64) (heal, error) {
		err := env.servers.BrokerControl(ctx, append([]string{limit}, low...)...)
		return func(ctx context.Context) error { return env.servers.BrokerControl(ctx, limit, usual) }, err
	}
}

// connectionsClosed tries again until it succeeds: the management API fails on a connection that ends by itself
// meanwhile.
func connectionsClosed(ctx context.Context, env *environment, _ uint64) (heal, error) {
	for _, user := range env.access.users {
		err := clock.Retry(ctx, retryPause, func() error { return env.management.CloseConnectionsOf(ctx, user, "chaos closes it") })
		if err != nil {
			return nothing, err
		}
	}
	return nothing, nil
}
