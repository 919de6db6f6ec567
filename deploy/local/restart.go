package local

import (
	"context"
	"syscall"
)

// One server of a pair can be taken down and started again in place, with the same data, addresses and passwords, while the other goes on:
// for tests of what a fleet does when a server goes away. Exited does not tell of an end that was asked for here. The methods wait for each
// other; each returns when the process is gone, or answers. A server that is down is not started by Stop and Discard, which go on as usual.

// StopBroker stops RabbitMQ in the orderly way. Stopping a server that is down does nothing.
func (s *Servers) StopBroker(ctx context.Context) error {
	return s.rabbitmq().down(ctx, syscall.SIGTERM)
}

// KillBroker kills RabbitMQ with SIGKILL.
func (s *Servers) KillBroker(ctx context.Context) error {
	return s.rabbitmq().down(ctx, syscall.SIGKILL)
}

// PauseBroker has RabbitMQ stand still (SIGSTOP) until ResumeBroker: its connections stay, and nothing answers. A process killed in between
// leaves a RabbitMQ that stands still until a Start in the same directory ends it.
func (s *Servers) PauseBroker() error { return s.rabbitmq().pass(syscall.SIGSTOP) }

// ResumeBroker lets a paused RabbitMQ go on.
func (s *Servers) ResumeBroker() error { return s.rabbitmq().pass(syscall.SIGCONT) }

// StartBroker starts a RabbitMQ that is down, and returns once it answers.
func (s *Servers) StartBroker(ctx context.Context) error {
	return s.rabbitmq().up(ctx)
}

// LoseBrokerData deletes everything a RabbitMQ that is down has on its disk but its configuration: queues, messages, exchanges, bindings,
// virtual hosts. The next start makes an empty broker with the same user, password and virtual host.
func (s *Servers) LoseBrokerData() error { return s.rabbitmq().loseQueues() }

// StopPostgres stops PostgreSQL in the orderly way, which ends its connections (a fast shutdown). Stopping a server that is down does nothing.
func (s *Servers) StopPostgres(ctx context.Context) error {
	return s.postgresql().down(ctx, syscall.SIGINT)
}

// KillPostgres ends PostgreSQL as a loss of power would, with all its processes: an immediate shutdown writes nothing more, and the next start
// recovers from the write-ahead log. SIGKILL would do the same to the data and leave the processes to find out by themselves.
func (s *Servers) KillPostgres(ctx context.Context) error {
	return s.postgresql().down(ctx, syscall.SIGQUIT)
}

// StartPostgres starts a PostgreSQL that is down, and returns once it takes connections.
func (s *Servers) StartPostgres(ctx context.Context) error {
	return s.postgresql().up(ctx)
}

func (s *Servers) rabbitmq() seat {
	return seat{
		cfg: s.cfg, home: s.broker.home, mu: &s.broker.mu, server: &s.broker.server, stopping: s.stopping,
		launch: func(ctx context.Context) error { return s.broker.launch(ctx, s.state) },
		begun:  func(c *child) { s.BrokerPID = c.pid(); go s.watch(c) },
	}
}

func (s *Servers) postgresql() seat {
	return seat{
		cfg: s.cfg, home: s.postgres.home, mu: &s.postgres.mu, server: &s.postgres.server, stopping: s.stopping,
		launch: func(ctx context.Context) error { return s.postgres.start(ctx, s.state) },
		begun:  func(c *child) { s.PostgresPID = c.pid(); go s.watch(c) },
	}
}
