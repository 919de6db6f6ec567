package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// One server of a pair can be taken down and started again in place, with the same data, addresses and passwords, while the other goes on:
// for tests of what a fleet does when a server goes away. Exited does not tell of an end that was asked for here. The methods wait for each
// other; each returns when the process is gone, or answers. A server that is down is not started by Stop and Discard, which go on as usual.

// StopBroker stops RabbitMQ in the orderly way. Stopping a server that is down does nothing.
func (s *Servers) StopBroker(ctx context.Context) error {
	return s.rabbitmq().down(ctx, s.cfg, syscall.SIGTERM)
}

// KillBroker kills RabbitMQ with SIGKILL.
func (s *Servers) KillBroker(ctx context.Context) error {
	return s.rabbitmq().down(ctx, s.cfg, syscall.SIGKILL)
}

// PauseBroker has RabbitMQ stand still (SIGSTOP) until ResumeBroker: its connections stay, and nothing answers. A process killed in between
// leaves a RabbitMQ that stands still until a Start in the same directory ends it.
func (s *Servers) PauseBroker() error { return s.rabbitmq().pass(syscall.SIGSTOP) }

// ResumeBroker lets a paused RabbitMQ go on.
func (s *Servers) ResumeBroker() error { return s.rabbitmq().pass(syscall.SIGCONT) }

// StartBroker starts a RabbitMQ that is down, and returns once it answers.
func (s *Servers) StartBroker(ctx context.Context) error {
	return s.up(ctx, s.rabbitmq())
}

// LoseBrokerData deletes everything a RabbitMQ that is down has on its disk but its configuration: queues, messages, exchanges, bindings,
// virtual hosts. The next start makes an empty broker with the same user, password and virtual host.
func (s *Servers) LoseBrokerData() error {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if s.broker.server != nil {
		return errors.New("deleting RabbitMQ's data: stop it first")
	}
	if s.broker.path == "" {
		return errNeverStarted
	}
	for _, name := range []string{"mnesia", "feature_flags"} {
		if err := os.RemoveAll(filepath.Join(s.broker.path, name)); err != nil {
			return fmt.Errorf("deleting RabbitMQ's data: %w", err)
		}
	}
	return nil
}

// StopPostgres stops PostgreSQL in the orderly way, which ends its connections (a fast shutdown). Stopping a server that is down does nothing.
func (s *Servers) StopPostgres(ctx context.Context) error {
	return s.postgresql().down(ctx, s.cfg, syscall.SIGINT)
}

// KillPostgres ends PostgreSQL as a loss of power would, with all its processes: an immediate shutdown writes nothing more, and the next start
// recovers from the write-ahead log. SIGKILL would do the same to the data and leave the processes to find out by themselves.
func (s *Servers) KillPostgres(ctx context.Context) error {
	return s.postgresql().down(ctx, s.cfg, syscall.SIGQUIT)
}

// StartPostgres starts a PostgreSQL that is down, and returns once it takes connections.
func (s *Servers) StartPostgres(ctx context.Context) error {
	return s.up(ctx, s.postgresql())
}

// seat is where one server of a pair runs, or does not.
type seat struct {
	mu     *sync.Mutex // one restart at a time
	home   home
	server **child
	pid    *int
	launch func(context.Context, state) error
}

func (s *Servers) rabbitmq() seat {
	return seat{mu: &s.broker.mu, home: s.broker.home, server: &s.broker.server, pid: &s.BrokerPID, launch: s.broker.launch}
}

func (s *Servers) postgresql() seat {
	return seat{mu: &s.postgres.mu, home: s.postgres.home, server: &s.postgres.server, pid: &s.PostgresPID, launch: s.postgres.start}
}

// down ends a server by a signal, and by SIGKILL when that did not do it in time, and waits until it is gone.
func (at seat) down(ctx context.Context, cfg Config, by syscall.Signal) error {
	at.mu.Lock()
	defer at.mu.Unlock()
	c := *at.server
	if c == nil {
		return nil
	}
	c.meant.Store(true)
	if by == syscall.SIGKILL {
		c.killGroup()
	} else {
		c.ask(by)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.StopTimeout)
	defer cancel()
	var err error
	select {
	case <-c.done:
	case <-ctx.Done():
		c.killGroup()
		<-c.done
		if by != syscall.SIGKILL {
			err = fmt.Errorf("stopping %s: killed, for it had not ended in time", c.name)
		}
	}
	c.awaitGroup(5 * time.Second)
	c.forget()
	*at.server = nil
	return err
}

var errNeverStarted = errors.New("restarting a server: it was left out when the other was started")

// up starts a server that is down. One that does not come up is down afterwards.
func (s *Servers) up(ctx context.Context, at seat) error {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.home.path == "" {
		return errNeverStarted
	}
	if *at.server != nil {
		return fmt.Errorf("starting %s: it runs already", (*at.server).name)
	}
	ctx, cancel := s.starting(ctx)
	defer cancel()
	if err := at.launch(ctx, s.state); err != nil {
		if c := *at.server; c != nil {
			c.killGroup()
			<-c.done
			c.forget()
			*at.server = nil
		}
		return err
	}
	*at.pid = (*at.server).pid()
	go s.watch(*at.server)
	return nil
}

// starting bounds a start by its timeout and by Stop, which waits for it.
func (s *Servers) starting(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	go func() {
		select {
		case <-s.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// pass hands a signal to a server that is up.
func (at seat) pass(sig syscall.Signal) error {
	at.mu.Lock()
	defer at.mu.Unlock()
	if *at.server == nil {
		return errors.New("signalling a server: it is down")
	}
	(*at.server).signal(sig)
	return nil
}
