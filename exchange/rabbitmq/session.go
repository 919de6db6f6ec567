package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Session is a pair of connections, one that publishes and one that consumes, and everything opened on them. They live
// and end together; the package documentation says why. It is safe for concurrent use.
type Session struct {
	config                Config
	publishing, consuming *link

	end     sync.Once
	err     error         // set before done is closed
	done    chan struct{} // the session has ended
	dropped chan struct{} // its sockets are closed

	blocked atomic.Pointer[blockage]
}

// blockage is an alarm of the broker, during which it reads nothing from the publishing connection.
type blockage struct {
	reason string
	lifted chan struct{}
}

var errClosedByOwner = errors.New("closed by this process")

// Open opens a session with the first host that answers. When none does, the error says for each what is wrong, in one
// line, and is ErrUnreachable, ErrAccessRefused, ErrVhostMissing, ErrBadURL or ErrTooOld.
func Open(ctx context.Context, config Config) (*Session, error) {
	config = config.withDefaults()
	s, err := firstHost(config, func(url string) (*Session, error) { return openAt(ctx, config, url) })
	if err != nil {
		return nil, fmt.Errorf("opening a session: %w", err)
	}
	return s, nil
}

// openAt expects a config with its defaults set.
func openAt(ctx context.Context, config Config, url string) (*Session, error) {
	publishing, err := dial(ctx, config, url, "publishing")
	if err != nil {
		return nil, err
	}
	consuming, err := dial(ctx, config, url, "consuming")
	if err != nil {
		publishing.drop(config.CloseTimeout)
		return nil, err
	}
	s := &Session{
		config:     config,
		publishing: publishing,
		consuming:  consuming,
		done:       make(chan struct{}),
		dropped:    make(chan struct{}),
	}
	go s.watch(
		publishing.NotifyClose(make(chan *amqp.Error, 1)),
		consuming.NotifyClose(make(chan *amqp.Error, 1)),
		publishing.NotifyBlocked(make(chan amqp.Blocking, 16)),
	)
	return s, nil
}

// watch ends the session when either connection ends, and tracks the broker's alarms.
func (s *Session) watch(publishing, consuming <-chan *amqp.Error, alarms <-chan amqp.Blocking) {
	for {
		select {
		case reason := <-publishing:
			s.connectionEnded(s.publishing, reason)
			return
		case reason := <-consuming:
			s.connectionEnded(s.consuming, reason)
			return
		case alarm, ok := <-alarms:
			if !ok {
				alarms = nil // the connection is closing; its reason follows
				continue
			}
			s.alarm(alarm)
		}
	}
}

func (s *Session) alarm(alarm amqp.Blocking) {
	was := s.blocked.Load()
	switch {
	case alarm.Active && was == nil:
		s.config.Log.Warn("the broker blocks publishers", "broker", s.publishing.url, "reason", alarm.Reason)
		s.blocked.Store(&blockage{reason: alarm.Reason, lifted: make(chan struct{})})
	case !alarm.Active && was != nil:
		s.config.Log.Info("the broker unblocks publishers", "broker", s.publishing.url)
		s.blocked.Store(nil)
		close(was.lifted)
	}
}

// connectionEnded ends the session. Closing an ended connection cleanly is useless, and would wait for locks that a
// hanging write holds: so the socket is closed first.
func (s *Session) connectionEnded(l *link, reason *amqp.Error) {
	if reason == nil { // after a close by this side the library reports none
		s.lose(errClosedByOwner)
		return
	}
	_ = l.socket.Close()
	s.lose(reason)
}

// lose ends the session, once, and closes its sockets in the background.
func (s *Session) lose(cause error) {
	s.end.Do(func() {
		s.publishing.refusedUser(cause)
		s.err = sessionLost(cause)
		close(s.done)
		go func() {
			var both sync.WaitGroup
			both.Go(func() { s.publishing.drop(s.config.CloseTimeout) })
			both.Go(func() { s.consuming.drop(s.config.CloseTimeout) })
			both.Wait()
			close(s.dropped)
		}()
	})
}

// Done is closed when the session has ended, by either side.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is nil while the session lives, and then ErrSessionLost with the reason.
func (s *Session) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Close ends the session and returns when its sockets are closed, within Config.CloseTimeout or little more. It waits
// for no confirmation and acknowledges nothing: do that before.
func (s *Session) Close() error {
	s.lose(errClosedByOwner)
	<-s.dropped
	return nil
}

// Blocked reports whether the broker blocks publishers, by an alarm of its memory or disk, and why.
func (s *Session) Blocked() (reason string, blocked bool) {
	if b := s.blocked.Load(); b != nil {
		return b.reason, true
	}
	return "", false
}

// Depth returns how many messages are ready in a queue and how many consumers it has; ErrMissing when there is none.
func (s *Session) Depth(queue string) (ready int, consumers int, err error) {
	var state amqp.Queue
	err = s.onChannel("reading the depth of "+queue, func(ch *amqp.Channel) (err error) {
		state, err = ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		return err
	})
	return state.Messages, state.Consumers, err
}

// onChannel makes a call on a channel of its own, which a refused call costs.
func (s *Session) onChannel(doing string, call func(*amqp.Channel) error) error {
	channel, err := s.consuming.Channel()
	if err == nil {
		defer func() { _ = channel.Close() }()
		err = call(channel)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, explain(err))
	}
	return nil
}
