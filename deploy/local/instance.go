package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

// instance is one server of a pair, which runs or is down.
type instance struct {
	home     // without a path: it was left out
	cfg      Config
	log      *slog.Logger
	mu       sync.Mutex // one restart at a time
	server   *child     // nil: it is down
	stopping <-chan struct{}
	again    func(context.Context) error // starts a server that was up before, and sets server
	begun    func(*child)                // told of a server that is up again
}

var errLeftOut = errors.New("restarting a server: it was left out when the other was started")

// down ends a server by a signal, and by SIGKILL when that did not do it in time, and waits until it is gone.
func (at *instance) down(ctx context.Context, by syscall.Signal) error {
	at.mu.Lock()
	defer at.mu.Unlock()
	c := at.server
	if c == nil {
		return nil
	}
	c.halted.Store(true)
	if by == syscall.SIGKILL {
		c.killGroup()
	} else {
		c.ask(by)
	}
	ctx, cancel := context.WithTimeout(ctx, at.cfg.StopTimeout)
	defer cancel()
	err := c.awaitEnd(ctx)
	at.left()
	if by == syscall.SIGKILL {
		return nil
	}
	return err
}

// left clears up after a server that has ended.
func (at *instance) left() {
	at.server.awaitGroup(5 * time.Second)
	at.server.forget()
	at.server = nil
}

// up starts a server that is down. One that does not come up is down afterwards.
func (at *instance) up(ctx context.Context) error {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.path == "" {
		return errLeftOut
	}
	if at.server != nil {
		return fmt.Errorf("starting %s: it runs already", at.server.name)
	}
	ctx, cancel := at.starting(ctx)
	defer cancel()
	if err := at.again(ctx); err != nil {
		if c := at.server; c != nil {
			c.killGroup()
			<-c.done
			at.left()
		}
		return err
	}
	at.begun(at.server)
	return nil
}

// starting bounds a start by its timeout and by the end of all servers, which waits for it.
func (at *instance) starting(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, at.cfg.StartTimeout)
	go func() {
		select {
		case <-at.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// pass hands a signal to a server that is up.
func (at *instance) pass(sig syscall.Signal) error {
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.server == nil {
		return fmt.Errorf("sending a signal to a server that is %w", ErrNotRunning)
	}
	if err := at.server.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("sending %s to %s: %w", sig, at.server.name, err)
	}
	return nil
}
