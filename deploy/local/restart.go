package local

import (
	"context"
	"database/sql"
	"slices"
	"syscall"
	"time"
)

// # One server of a running pair
//
// These methods break servers on purpose, to test their clients. Each method is about one server and leaves the other
// alone; those about one server wait for each other. Stop and Discard work as usual, also with a server down or
// stopped.
//
// RabbitMQ 3.10 enters a new quorum queue in its directory of queues half a second after it was declared. A node killed
// with SIGKILL before that comes back with a queue that has no leader and does not answer until it is deleted: let a
// topology that has just been applied settle for a second.

// Server names one server of a pair.
type Server string

// The servers.
const (
	PostgreSQL Server = postgresName
	RabbitMQ   Server = brokerName
)

// Signal sends a signal to a server's own process, which for PostgreSQL is not those that serve the connections. A
// server that ends by it closes Exited: see Halt. One that was made to stand still (SIGSTOP) when this process is
// killed stays, until a Start in the same directory ends it.
func (s *Servers) Signal(which Server, sig syscall.Signal) error { return s.instance(which).pass(sig) }

// Halt ends a server by a signal and waits until it is gone. To PostgreSQL SIGINT is a fast shutdown and SIGQUIT an
// immediate one; to RabbitMQ SIGTERM is an orderly stop. Its end does not close Exited, and its data stays. When ctx or
// Config.StopTimeout ends first it is killed, which is an error.
func (s *Servers) Halt(ctx context.Context, which Server, sig syscall.Signal) error {
	return s.instance(which).down(ctx, sig)
}

// Revive starts a server that Halt has ended in its place: with the same port, password and data. It returns when the
// server answers.
func (s *Servers) Revive(ctx context.Context, which Server) error { return s.instance(which).up(ctx) }

func (s *Servers) instance(which Server) *instance {
	if which == PostgreSQL {
		return &s.postgres.instance
	}
	return &s.broker.instance
}

// Superuser opens the database as PostgreSQL's superuser, whom no limit of connections and no setting of a role keeps
// out. The caller closes it.
func (s *Servers) Superuser() (*sql.DB, error) {
	return sql.Open("postgres", s.SuperuserURL()+"&default_transaction_read_only=off")
}

// SuperuserURL is the database's URL of PostgreSQL's superuser.
func (s *Servers) SuperuserURL() string {
	return databaseURL("postgres", s.state.SuperuserPassword, s.state.Ports.Postgres, ourName)
}

// restartWindow is the time that Config.Restarts counts in.
const restartWindow = 10 * time.Minute

// restart starts a server again that has ended by itself, in its place, and tells whether it is up.
func (s *Servers) restart(c *child) bool {
	at := s.ownerOf(c)
	if at == nil || !s.mayRestart(time.Now()) {
		return false
	}
	s.cfg.Log.Warn("server ended by itself; starting it again", "server", c.name, "state", c.cmd.ProcessState.String(), "reason", c.reason())
	at.mu.Lock()
	if at.server == c {
		c.killGroup() // what it has left
		at.left()
	}
	at.mu.Unlock()
	if err := at.up(context.Background()); err != nil {
		s.cfg.Log.Error("server cannot be started again", "server", c.name, "error", err)
		return false
	}
	s.cfg.Log.Warn("server is up again", "server", c.name)
	return true
}

// ownerOf is the server whose process this is; nil for one that belongs to both.
func (s *Servers) ownerOf(c *child) *instance {
	for _, at := range []*instance{&s.postgres.instance, &s.broker.instance} {
		at.mu.Lock()
		its := at.server == c
		at.mu.Unlock()
		if its {
			return at
		}
	}
	return nil
}

func (s *Servers) mayRestart(now time.Time) bool {
	s.restarting.Lock()
	defer s.restarting.Unlock()
	s.restarted = slices.DeleteFunc(s.restarted, func(at time.Time) bool { return now.Sub(at) > restartWindow })
	if len(s.restarted) >= s.cfg.Restarts {
		return false
	}
	s.restarted = append(s.restarted, now)
	return true
}
