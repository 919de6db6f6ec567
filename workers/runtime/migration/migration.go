// Package migration takes the steps of a migration of an event type from its older version to the current one, and
// back.
//
// The stages, what holds in each, and what a crash after each step leaves, stand in the doc of store/versions. Each of
// Start, Finish and Abort looks at the stage in the database and at the bindings of the broker, and does what is left
// to do: a second call after a crash, or beside another operator's, goes on and changes nothing twice.
//
// # Invariants
//
//   - Start and Finish change nothing while something is in the way: a consumer that could not read what it would get,
//     or may not.
//   - A queue that is moved from one exchange to the other is bound to the new one before it is unbound from the old
//     one.
//   - Only bindings by the type's own key are moved. One by a pattern also carries other types.
//   - Consumers of composerp.events.v1 get what external publishers send straight to composerp.events from the relay,
//     once it is logged. So Abort, which ends that, first binds them to composerp.events and then waits until what was
//     sent before is logged.
package migration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/versions"
)

// Migration is that of one type. All but By, Say and RelayWait are needed.
type Migration struct {
	Type          event.Type
	DB            *store.DB
	Broker        rabbitmq.Config // of a user that may declare and bind
	Management    *management.Client
	Subscriptions []topology.Subscription // of this program's fleet
	By            operatorlog.By
	// Say, if set, is told of each step.
	Say func(step string)
	// RelayWait is how long to wait for a relay to take over a stage; 0: 30 seconds.
	RelayWait time.Duration
}

// ErrInTheWay means that nothing was changed because of what the status has in InTheWay.
var ErrInTheWay = errors.New("nothing was changed")

var (
	errFinished   = errors.New("the migration is finished: the older version is emitted no more, and consumers may rely on the current one")
	errNotStarted = errors.New("the migration is not under way; `--start` starts it")
)

func (m *Migration) say(format string, args ...any) {
	if m.Say != nil {
		m.Say(fmt.Sprintf(format, args...))
	}
}

// inTheWay is an error that names what is in the way.
func inTheWay(what []string) error {
	return fmt.Errorf("%w: %s", ErrInTheWay, strings.Join(what, "; "))
}

// Start brings the type to the stage both: both versions are published, and each consumer gets the one that it reads.
// In that stage it moves consumers that read another version than before.
func (m *Migration) Start(ctx context.Context) error {
	for {
		s, err := m.Status(ctx)
		if err != nil {
			return err
		}
		if s.Stage == versions.New {
			return fmt.Errorf("%s: %w", m.Type, errFinished)
		}
		if ways := s.waysToStart(); len(ways) > 0 {
			return inTheWay(ways)
		}
		switch s.Stage {
		case versions.Old:
			err = m.mirror(ctx, s)
		case versions.Mirror:
			err = m.divide(ctx, s)
		default:
			if err := m.settle(ctx, s); err != nil {
				return err
			}
			return m.awaitRelay(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// mirror has the older version published on both exchanges, for the queues that read no other.
func (m *Migration) mirror(ctx context.Context, s Status) error {
	want := topology.OlderEvents()
	want.Bindings = s.bindings(topology.EventsV1, readsOlder)
	if err := m.bind(ctx, want); err != nil {
		return err
	}
	m.say("%s is declared, with %d bindings of consumers that read %s alone", topology.EventsV1, len(want.Bindings), s.Older)
	return m.move(ctx, s, versions.Mirror)
}

// divide takes those queues off composerp.events and has the current version published there.
func (m *Migration) divide(ctx context.Context, s Status) error {
	if err := m.awaitRelay(ctx); err != nil {
		return err
	}
	if err := m.settle(ctx, s); err != nil {
		return err
	}
	return m.move(ctx, s, versions.Both)
}

// settle has each queue bound to the exchange of the version that it reads, and to no other.
func (m *Migration) settle(ctx context.Context, s Status) error {
	want := topology.OlderEvents()
	want.Bindings = append(s.bindings(topology.EventsV1, readsOlder), s.bindings(topology.Events, readsCurrent)...)
	if err := m.bind(ctx, want); err != nil {
		return err
	}
	over := append(s.bound(topology.Events, readsOlder), s.bound(topology.EventsV1, readsCurrent)...)
	if len(over) == 0 {
		return nil
	}
	if err := rabbitmq.Unbind(ctx, m.Broker, over); err != nil {
		return err
	}
	for _, b := range over {
		m.say("%s is off %s", b.Destination(), b.Exchange)
	}
	return nil
}

// Finish ends the publishing of the older version, and removes its exchange.
func (m *Migration) Finish(ctx context.Context) error {
	s, err := m.Status(ctx)
	if err != nil {
		return err
	}
	switch s.Stage {
	case versions.Both:
		if ways := s.waysToFinish(); len(ways) > 0 {
			return inTheWay(ways)
		}
		if err := m.settle(ctx, s); err != nil {
			return err
		}
		if err := m.move(ctx, s, versions.New); err != nil {
			return err
		}
	case versions.New:
	default:
		return fmt.Errorf("%s: %w", m.Type, errNotStarted)
	}
	return m.removeExchange(ctx)
}

// Abort goes back to the older version alone.
func (m *Migration) Abort(ctx context.Context) error {
	for {
		s, err := m.Status(ctx)
		if err != nil {
			return err
		}
		switch s.Stage {
		case versions.New:
			return fmt.Errorf("%s: %w", m.Type, errFinished)
		case versions.Both:
			err = m.move(ctx, s, versions.Mirror)
		case versions.Mirror:
			if err = m.awaitRelay(ctx); err == nil {
				err = m.bind(ctx, topology.Topology{Bindings: s.bindings(topology.Events, readsOlder)})
			}
			if err == nil {
				err = m.awaitIntake(ctx)
			}
			if err == nil {
				err = m.move(ctx, s, versions.Old)
			}
		default:
			return m.removeExchange(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// bind declares bindings. The fleet's own user may not bind other programs' queues.
func (m *Migration) bind(ctx context.Context, want topology.Topology) error {
	err := rabbitmq.Apply(ctx, want, m.Broker)
	if errors.Is(err, rabbitmq.ErrAccessRefused) {
		err = fmt.Errorf("%w; to bind a queue of another program, name by --amqp-url a user that may", err)
	}
	return err
}

func (m *Migration) move(ctx context.Context, s Status, to versions.Stage) error {
	if _, err := versions.Move(ctx, m.DB, m.By, s.State, to); err != nil {
		return err
	}
	m.say("%s is in the stage %s", m.Type, to)
	return nil
}

func (m *Migration) relayWait() time.Duration { return cmp.Or(m.RelayWait, 30*time.Second) }

// removeExchange deletes composerp.events.v1, once no relay publishes to it and unless another type needs it.
func (m *Migration) removeExchange(ctx context.Context) error {
	if err := m.awaitRelay(ctx); err != nil {
		return err
	}
	states, err := versions.Read(ctx, m.DB)
	if err != nil || slices.ContainsFunc(states, func(s versions.State) bool { return s.Second() != "" }) {
		return err
	}
	session, err := rabbitmq.Open(ctx, m.Broker)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }()
	if err := session.Delete(topology.OlderEvents()); err != nil {
		return err
	}
	m.say("%s is deleted", topology.EventsV1)
	return nil
}

// figuresAge is how old the broker's figures of a queue may be.
const figuresAge = 6 * time.Second

// awaitIntake waits until the worker that logs what comes straight over AMQP has had no message for a moment: what was
// sent before this call is logged then. Other types need no wait.
func (m *Migration) awaitIntake(ctx context.Context) error {
	d, _ := event.Lookup(m.Type)
	i := slices.IndexFunc(m.Subscriptions, func(s topology.Subscription) bool { return s.ExternalOnly })
	if !d.Outside || i < 0 {
		return nil
	}
	vhost, err := m.Broker.Vhost()
	if err != nil {
		return err
	}
	m.say("waiting until %s has logged what was sent straight over AMQP", m.Subscriptions[i].Worker)
	for began := time.Now(); ; {
		if !clock.Sleep(ctx, time.Second) {
			return ctx.Err()
		}
		queues, err := m.Management.Queues(ctx, vhost)
		if err != nil {
			return err
		}
		c := Consumer{Queue: topology.QueueName(m.Subscriptions[i].Worker), Waiting: -1}
		c.count(queues)
		waited := time.Since(began)
		if c.Waiting == 0 && waited >= figuresAge {
			return nil
		}
		if waited > figuresAge+m.relayWait() {
			return fmt.Errorf("%s has %d messages, which are not logged yet: see `composerp worker describe %s`, and call this again: it goes on",
				c.Queue, c.Waiting, m.Subscriptions[i].Worker)
		}
	}
}

// awaitRelay waits until a relay publishes as the stage says.
func (m *Migration) awaitRelay(ctx context.Context) error {
	wait := m.relayWait()
	for deadline := time.Now().Add(wait); ; {
		states, err := versions.Read(ctx, m.DB)
		if err != nil {
			return err
		}
		s := versions.Of(states, m.Type)
		if s.Adopted() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no relay has taken over the stage %s of %s within %s: run `composerp up` or `composerp relay`, stop a relay of an older program, and call this again: it goes on",
				s.Stage, m.Type, wait)
		}
		if !clock.Sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
}
