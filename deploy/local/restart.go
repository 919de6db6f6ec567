package local

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// # One server of a running pair
//
// What stands here is for those who break servers on purpose, to see what becomes of their clients. Each method is about one server and
// leaves the other alone. They are not for use beside each other, nor beside Stop.

// Server names one server of a pair.
type Server string

// The servers.
const (
	PostgreSQL Server = postgresName
	RabbitMQ   Server = brokerName
)

// Signal sends a signal to a server's own process, which for PostgreSQL is not those that serve the connections. A server that ends by it
// closes Exited: see Halt.
func (s *Servers) Signal(which Server, sig syscall.Signal) error {
	c := s.child(which)
	if c == nil {
		return fmt.Errorf("%s is %w", which, ErrNotRunning)
	}
	if err := c.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("sending %s to %s: %w", sig, which, err)
	}
	return nil
}

// Halt ends a server by a signal and waits until it is gone. To PostgreSQL SIGINT is a fast shutdown and SIGQUIT an immediate one; to
// RabbitMQ SIGTERM is an orderly stop. Its end does not close Exited, and its data stays. When ctx ends first it is killed, which is an error.
func (s *Servers) Halt(ctx context.Context, which Server, sig syscall.Signal) error {
	c := s.child(which)
	if c == nil {
		return fmt.Errorf("%s is %w", which, ErrNotRunning)
	}
	c.halted.Store(true)
	c.signal(sig)
	var late error
	select {
	case <-c.done:
	case <-ctx.Done():
		c.killGroup()
		<-c.done
		late = fmt.Errorf("stopping %s: killed, for it had not ended in time: %w", which, ctx.Err())
	}
	c.forget()
	return late
}

// Revive starts a server that Halt has ended in its place: with the same port, password and data. It returns when the server answers.
func (s *Servers) Revive(ctx context.Context, which Server) error {
	var err error
	var revived *child
	switch which {
	case PostgreSQL:
		var bin postgresBin
		if bin, err = s.postgres.chooseBin(); err != nil {
			return err
		}
		if err = s.postgres.disownPid(); err != nil {
			return err
		}
		err, revived = s.postgres.launch(ctx, bin, s.state), s.postgres.server
	case RabbitMQ:
		err, revived = s.broker.launch(ctx, s.state), s.broker.server
	}
	s.replace(revived)
	return err
}

// Demote restarts PostgreSQL as a standby that follows nobody: it answers, and takes no writes, until pg_promote makes it what it was.
func (s *Servers) Demote(ctx context.Context) error {
	if err := s.Halt(ctx, PostgreSQL, syscall.SIGINT); err != nil {
		return err
	}
	mark := filepath.Join(s.postgres.data(), "standby.signal")
	if err := errors.Join(writeDurably(mark, nil), s.postgres.account.give(mark)); err != nil {
		return fmt.Errorf("making a standby: %w", err)
	}
	return s.Revive(ctx, PostgreSQL)
}

// child is the process of a server; nil when the pair is without it.
func (s *Servers) child(which Server) *child {
	for _, c := range s.current() {
		if c.name == string(which) {
			return c
		}
	}
	return nil
}

func (s *Servers) current() []*child {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.children)
}

// replace puts a server that was started anew in the place of the one before.
func (s *Servers) replace(c *child) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, before := range s.children {
		if c != nil && before.name == c.name && before != c {
			s.children[i] = c
			go s.watch(c)
		}
	}
}

// Superuser opens the database as PostgreSQL's superuser, whom no limit of connections keeps out. The caller closes it.
func (s *Servers) Superuser() (*sql.DB, error) {
	return sql.Open("postgres", databaseURL("postgres", s.state.SuperuserPassword, s.state.Ports.Postgres, ourName))
}

// BrokerControl runs rabbitmqctl on the node. It takes a second or two: it is an Erlang node of its own.
func (s *Servers) BrokerControl(ctx context.Context, args ...string) error {
	ctl := exec.CommandContext(ctx, filepath.Join(filepath.Dir(s.broker.installed.server), "rabbitmqctl"), args...)
	ctl.Dir, ctl.Env = s.broker.path, s.broker.environment(s.state.Ports)
	ctl.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.broker.account.credential()}
	if out, err := ctl.CombinedOutput(); err != nil {
		return fmt.Errorf("running rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, shorten(strings.Join(strings.Fields(string(out)), " ")))
	}
	return nil
}
