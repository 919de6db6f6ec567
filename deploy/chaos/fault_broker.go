package chaos

import (
	"context"
	"syscall"

	"github.com/composerp/composerp/exchange/clock"

	"github.com/composerp/composerp/deploy/local"
)

func brokerKill(ctx context.Context, env *environment, _ uint64) (heal, error) {
	err := env.servers.Halt(ctx, local.RabbitMQ, syscall.SIGKILL)
	return env.revive(local.RabbitMQ), err
}

func brokerRestart(ctx context.Context, env *environment, _ uint64) (heal, error) {
	err := env.servers.Halt(ctx, local.RabbitMQ, syscall.SIGTERM)
	return env.revive(local.RabbitMQ), err
}

func (env *environment) revive(which local.Server) heal {
	return func(ctx context.Context) error { return env.servers.Revive(ctx, which) }
}

func brokerPause(_ context.Context, env *environment, _ uint64) (heal, error) {
	err := env.servers.Signal(local.RabbitMQ, syscall.SIGSTOP)
	return func(context.Context) error { return env.servers.Signal(local.RabbitMQ, syscall.SIGCONT) }, err
}

func memoryAlarm(ctx context.Context, env *environment, _ uint64) (heal, error) {
	err := env.servers.BrokerControl(ctx, "set_vm_memory_high_watermark", "absolute", "1MB")
	return func(ctx context.Context) error {
		return env.servers.BrokerControl(ctx, "set_vm_memory_high_watermark", "0.4")
	}, err
}

func diskAlarm(ctx context.Context, env *environment, _ uint64) (heal, error) {
	err := env.servers.BrokerControl(ctx, "set_disk_free_limit", "1000000GB")
	return func(ctx context.Context) error {
		return env.servers.BrokerControl(ctx, "set_disk_free_limit", "200MB")
	}, err
}

// connectionsClosed tries again until it succeeds: the management API fails on a connection that ends by itself
// meanwhile.
func connectionsClosed(ctx context.Context, env *environment, _ uint64) (heal, error) {
	for {
		err := env.management.CloseConnectionsOf(ctx, env.user, "chaos closes it")
		if err == nil || !clock.Sleep(ctx, retryPause) {
			return nothing, err
		}
	}
}
