package chaos

import (
	"context"
	"syscall"

	"github.com/composerp/composerp/deploy/local"
)

func brokerKill(ctx context.Context, h *environment, _ uint64) (heal, error) {
	err := h.servers.Halt(ctx, local.RabbitMQ, syscall.SIGKILL)
	return h.revive(local.RabbitMQ), err
}

func brokerRestart(ctx context.Context, h *environment, _ uint64) (heal, error) {
	err := h.servers.Halt(ctx, local.RabbitMQ, syscall.SIGTERM)
	return h.revive(local.RabbitMQ), err
}

func (h *environment) revive(which local.Server) heal {
	return func(ctx context.Context) error { return h.servers.Revive(ctx, which) }
}

func brokerPause(_ context.Context, h *environment, _ uint64) (heal, error) {
	err := h.servers.Signal(local.RabbitMQ, syscall.SIGSTOP)
	return func(context.Context) error { return h.servers.Signal(local.RabbitMQ, syscall.SIGCONT) }, err
}

func memoryAlarm(ctx context.Context, h *environment, _ uint64) (heal, error) {
	err := h.servers.BrokerControl(ctx, "set_vm_memory_high_watermark", "absolute", "1MB")
	return func(ctx context.Context) error {
		return h.servers.BrokerControl(ctx, "set_vm_memory_high_watermark", "0.4")
	}, err
}

func diskAlarm(ctx context.Context, h *environment, _ uint64) (heal, error) {
	err := h.servers.BrokerControl(ctx, "set_disk_free_limit", "1000000GB")
	return func(ctx context.Context) error {
		return h.servers.BrokerControl(ctx, "set_disk_free_limit", "200MB")
	}, err
}

// connectionsClosed asks until it is done: the management API fails on a connection that ends while it is at it.
func connectionsClosed(ctx context.Context, h *environment, _ uint64) (heal, error) {
	for {
		err := h.management.CloseConnectionsOf(ctx, h.user, "chaos closes it")
		if err == nil || !sleep(ctx, retryPause) {
			return nothing, err
		}
	}
}
