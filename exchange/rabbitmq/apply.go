package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/topology"
)

// Apply declares the topology. It leaves existing equal things alone and never deletes or unbinds. A queue or exchange
// with other arguments is an ErrMismatch naming the argument, both values and what to do; Apply finds all of them, and
// declares the rest nevertheless.
func Apply(ctx context.Context, t topology.Topology, config Config) error {
	for pause := firstApplyPause; ; pause *= 2 {
		err := applyOnce(ctx, t, config)
		if !errors.Is(err, ErrInternal) || pause > lastApplyPause || !clock.Sleep(ctx, pause) {
			return err
		}
	}
}

// A loaded broker may give up on making a queue (INTERNAL_ERROR, cluster_not_formed) that it makes a moment later.
const (
	firstApplyPause = 250 * time.Millisecond
	lastApplyPause  = 8 * time.Second
)

func applyOnce(ctx context.Context, t topology.Topology, config Config) error {
	config = config.withDefaults()
	l, err := firstHost(config, func(url string) (*link, error) { return dial(ctx, config, url, "declaring") })
	if err != nil {
		return fmt.Errorf("applying the topology: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = l.socket.Close() })
	defer stop()
	defer l.drop(config.CloseTimeout)

	d := declarer{spareChannel: spareChannel{link: l}}
	for _, e := range t.Exchanges {
		d.declare("exchange "+e.Name, func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare(e.Name, e.Kind, true, false, false, false, e.Arguments)
		})
	}
	for _, q := range t.Queues {
		d.declare("queue "+q.Name, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(q.Name, true, false, false, false, q.Arguments)
			return err
		})
	}
	for _, b := range t.Bindings {
		d.declare("binding of "+b.Destination()+" to "+b.Exchange, func(ch *amqp.Channel) error {
			if b.To != "" {
				return ch.ExchangeBind(b.To, b.RoutingKey, b.Exchange, false, b.Arguments())
			}
			return ch.QueueBind(b.Queue, b.RoutingKey, b.Exchange, false, b.Arguments())
		})
	}
	if ctx.Err() != nil {
		return fmt.Errorf("applying the topology: %w", ctx.Err())
	}
	if len(d.found) > 0 {
		return d.found
	}
	return nil
}

// Unbind removes bindings. A missing one is removed already.
func Unbind(ctx context.Context, config Config, bindings []topology.BindingSpec) error {
	session, err := Open(ctx, config)
	if err != nil {
		return fmt.Errorf("unbinding: %w", err)
	}
	defer func() { _ = session.Close() }()
	channel, err := session.consuming.Channel()
	if err != nil {
		return fmt.Errorf("unbinding: %w", explain(err))
	}
	for _, b := range bindings {
		if b.To != "" {
			err = channel.ExchangeUnbind(b.To, b.RoutingKey, b.Exchange, false, b.Arguments())
		} else {
			err = channel.QueueUnbind(b.Queue, b.RoutingKey, b.Exchange, b.Arguments())
		}
		if err != nil {
			return fmt.Errorf("unbinding %s from %s: %w", b.Destination(), b.Exchange, explain(err))
		}
	}
	return nil
}

// declarer declares things one by one.
type declarer struct {
	spareChannel
	broken bool // the connection is lost; the rest would fail alike
	found  problems
}

func (d *declarer) declare(subject string, on func(*amqp.Channel) error) {
	if d.broken {
		return
	}
	err := explain(d.call(on))
	if err == nil {
		return
	}
	d.broken = errors.Is(err, ErrSessionLost) || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrInternal)
	if errors.Is(err, ErrMismatch) {
		err = mismatch(subject, err)
	}
	d.found = append(d.found, fmt.Errorf("declaring %s: %w", subject, err))
}

// spareChannel makes one call after the other. A refused call costs the channel, and the next gets a new one.
type spareChannel struct {
	link    *link
	channel *amqp.Channel
}

func (c *spareChannel) call(on func(*amqp.Channel) error) (err error) {
	if c.channel == nil || c.channel.IsClosed() {
		if c.channel, err = c.link.Channel(); err != nil {
			return err
		}
	}
	return on(c.channel)
}

func (c *spareChannel) close() {
	if c.channel != nil {
		_ = c.channel.Close()
	}
}

// inequivalent matches RabbitMQ's report of a mismatch: inequivalent arg 'x-delivery-limit' for queue 'q' in vhost
// '/': received the value '1000' of type 'signedint' but current is '20'.
var inequivalent = regexp.MustCompile(`inequivalent arg '([^']+)' for .*: received (.*) but current is (.*)$`)

// mismatch names the argument. Arguments cannot be changed, and a queue must not be deleted while it holds messages.
func mismatch(subject string, err error) error {
	found := inequivalent.FindStringSubmatch(strings.TrimSuffix(err.Error(), ")"))
	if found == nil {
		return err
	}
	return fmt.Errorf("its %s is %s on the broker, want %s: %w", found[1], found[3], found[2], mismatched{subject})
}

// mismatched is ErrMismatch with its subject.
type mismatched struct{ subject string }

func (m mismatched) Error() string {
	return "it cannot be changed in place: empty and delete " + m.subject + " there and apply again, or give the new one another name"
}

func (m mismatched) Is(target error) bool { return target == ErrMismatch }
