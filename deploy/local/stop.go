package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Exited is closed when a server ends without a call of Stop; Err then says which and why.
func (s *Servers) Exited() <-chan struct{} { return s.exited }

// Err says why Exited was closed, and is nil before that.
func (s *Servers) Err() error {
	select {
	case <-s.exited:
		return s.err
	default:
		return nil
	}
}

// watch reports the first server that ends by itself.
func (s *Servers) watch(c *child) {
	<-c.done
	select {
	case <-s.stopping:
		return
	default:
	}
	if c.halted.Load() || s.restart(c) {
		return
	}
	s.exitOnce.Do(func() {
		s.err = fmt.Errorf("%s ended by itself (%v): %s", c.name, c.cmd.ProcessState, c.reason())
		close(s.exited)
	})
}

// Stop ends the servers: PostgreSQL by a fast shutdown and RabbitMQ by an orderly stop, side by side, then Erlang's
// port mapper. Those still there when ctx or Config.StopTimeout ends are killed, which is reported as an error; the
// data survives that too. When it returns, no process is left and the directory is free. A second Stop does nothing.
func (s *Servers) Stop(ctx context.Context) error {
	var err error
	s.stopOnce.Do(func() {
		close(s.stopping)
		defer s.holdBoth()()
		st := s.state
		st.Endpoints, st.Owner = nil, 0
		err = errors.Join(st.save(s.cfg.Dir), s.stopChildren(ctx))
		s.held.free()
	})
	return err
}

// holdBoth waits for restarts under way, and lets no other begin until the returned function is called.
func (s *Servers) holdBoth() (release func()) {
	s.postgres.mu.Lock()
	s.broker.mu.Lock()
	return func() {
		s.broker.mu.Unlock()
		s.postgres.mu.Unlock()
	}
}

func (s *Servers) stopChildren(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StopTimeout)
	defer cancel()
	children := s.children()
	for _, c := range children {
		if c.name != epmdName {
			c.ask(c.orderly)
		}
	}
	var late []error
	for _, c := range children {
		if c.name == epmdName { // It is last, for a RabbitMQ going down still talks to it.
			c.ask(c.orderly)
		}
		late = append(late, c.awaitEnd(ctx))
		c.forget()
	}
	return errors.Join(late...)
}

// Discard kills the servers and deletes their whole directory. It is for data that is not needed again, so it does not
// wait for an orderly stop: RabbitMQ's alone takes six seconds.
func (s *Servers) Discard(ctx context.Context) error {
	var err error
	s.stopOnce.Do(func() {
		close(s.stopping)
		defer s.holdBoth()()
		s.killAll()
		err = errors.Join(removeData(ctx, s.cfg, s.cfg.Dir), os.RemoveAll(s.cfg.Dir))
		s.held.free()
	})
	return err
}

// killAll kills the children, each with its process group, and waits until the kernel has taken them away.
func (s *Servers) killAll() {
	children := s.children()
	for _, c := range children {
		c.killGroup()
	}
	for _, c := range children {
		<-c.done
		c.awaitGroup(5 * time.Second)
		c.forget()
	}
}
