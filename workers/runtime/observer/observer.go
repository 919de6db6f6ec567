// Package observer reads the state of a fleet: its log in the database, and its queues, nodes and topology in the
// broker. Watchdog and doctor judge a Snapshot; audit waits by it until the fleet is at rest.
//
// # Invariants
//
//   - The log is read first and the broker after it. What leaves the log is in a queue before it is handled, so an
//     event on its way is seen in one of the two.
//   - A question without an answer is an error in the Snapshot and never a zero: what was not seen is not judged.
//   - The management API's figures may be some seconds old. What AMQP says of a queue's depth and consumers is
//     exact.
package observer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// Observer takes snapshots of a fleet, on one session for as long as that lasts. Broker and Topology are needed.
type Observer struct {
	DB         *store.DB // nil: Observe reports the log as not read
	Broker     rabbitmq.Config
	Management *management.Client // nil: its figures are reported as not seen
	Topology   topology.Topology  // what the fleet needs
	// Exact makes Observe ask the broker for the depth of each queue even where the management API has answered.
	Exact bool

	session *rabbitmq.Session
}

// questionTimeout bounds each question of an observation. probeTimeout is how long the broker may take for a message
// that checks the permission to write: during an alarm it takes none.
const (
	questionTimeout = 5 * time.Second
	probeTimeout    = 2 * time.Second
)

var errNoDatabase = errors.New("no database is known")

// ErrNoManagement is Snapshot.Unseen where Observer.Management is nil.
var ErrNoManagement = errors.New("the URL of RabbitMQ's management API is not known")

// Observe reads everything. It reads the log first: what the relay had passed by then was routed by what the broker
// holds at that moment, or a later one.
func (o *Observer) Observe(ctx context.Context) Snapshot {
	now := newSnapshot()
	now.Database = within(ctx, func(ctx context.Context) (err error) {
		if o.DB == nil {
			return errNoDatabase
		}
		now.Log, err = answered(ctx, func() (eventlog.Health, error) { return eventlog.ReadHealth(ctx, o.DB) })
		return err
	})
	now.Unseen = within(ctx, func(ctx context.Context) error { return o.askManagement(ctx, &now) })
	now.Broker = within(ctx, func(ctx context.Context) error { return o.askBroker(ctx, &now) })
	return now
}

// ObserveManagement reads what the management API tells alone: topology, queues with their policies, and nodes. It
// opens no session and publishes nothing. Of what it does not tell Snapshot.Unseen is the reason.
func (o *Observer) ObserveManagement(ctx context.Context) Snapshot {
	now := newSnapshot()
	now.Unseen = within(ctx, func(ctx context.Context) error { return o.askManagement(ctx, &now) })
	return now
}

// ObserveQueues reads the queues alone: the management API's figures and, exactly, the depth of each queue. It waits
// for the broker for as long as ctx allows.
func (o *Observer) ObserveQueues(ctx context.Context) Snapshot {
	now := newSnapshot()
	now.Unseen = within(ctx, func(ctx context.Context) error {
		vhost, err := o.vhost()
		if err != nil {
			return err
		}
		return o.askFigures(ctx, vhost, &now)
	})
	now.Broker = o.onSession(ctx, o.Broker, func(session *rabbitmq.Session) error {
		return o.askQueues(session, topology.Topology{Queues: o.Topology.Queues}, &now)
	})
	return now
}

// Answer asks each server the shortest question, both at once, and gives the errors of those that do not answer until
// ctx ends.
func (o *Observer) Answer(ctx context.Context) (database, broker error) {
	var both sync.WaitGroup
	both.Go(func() { database = DatabaseAnswers(ctx, o.DB) })
	both.Go(func() {
		broker = o.onSession(ctx, o.Broker, func(session *rabbitmq.Session) error {
			_, _, err := session.Depth(topology.DeadLetterLog)
			if errors.Is(err, rabbitmq.ErrMissing) {
				return nil // it answers
			}
			return err
		})
	})
	both.Wait()
	return database, broker
}

// MissingQueues gives the names of the topology's queues that the broker does not have.
func (o *Observer) MissingQueues(ctx context.Context) (missing []string, err error) {
	want := topology.Topology{Queues: o.Topology.Queues}
	err = o.onSession(ctx, o.Broker, func(session *rabbitmq.Session) error {
		have, _, err := session.InspectTopology(want)
		for _, q := range want.Missing(have).Queues {
			missing = append(missing, q.Name)
		}
		return err
	})
	return missing, err
}

// DatabaseAnswers is nil when the database answers until ctx ends.
func DatabaseAnswers(ctx context.Context, db *store.DB) error {
	_, err := answered(ctx, func() (time.Time, error) { return store.ServerTime(ctx, db) })
	return err
}

// answered gives ask's answer, or an error when ctx ends: on a connection to a server that hangs, the driver waits
// for longer.
func answered[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	got := make(chan answer, 1)
	go func() { value, err := ask(); got <- answer{value, err} }()
	select {
	case a := <-got:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("the database does not answer: %w", ctx.Err())
	}
}

func within(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	return ask(ctx)
}

// Open begins the session, so that a broker that cannot be reached is found before the first observation.
func (o *Observer) Open(ctx context.Context) error {
	_, err := o.open(ctx, o.Broker)
	return err
}

// Close ends the session.
func (o *Observer) Close() {
	if o.session != nil {
		_ = o.session.Close()
	}
}

func (o *Observer) open(ctx context.Context, broker rabbitmq.Config) (*rabbitmq.Session, error) {
	if o.session != nil && o.session.Err() == nil {
		return o.session, nil
	}
	session, err := rabbitmq.Open(ctx, broker)
	if err == nil {
		o.session = session
	}
	return session, err
}

// onSession asks on the session. A call to a broker that hangs ends with ctx, and the session with it.
func (o *Observer) onSession(ctx context.Context, broker rabbitmq.Config, ask func(*rabbitmq.Session) error) error {
	session, err := o.open(ctx, broker)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = session.Close() })()
	return ask(session)
}

// vhost is where the management API is asked.
func (o *Observer) vhost() (string, error) {
	if o.Management == nil {
		return "", ErrNoManagement
	}
	return o.Broker.Vhost()
}

func (o *Observer) askManagement(ctx context.Context, now *Snapshot) error {
	vhost, err := o.vhost()
	if err != nil {
		return err
	}
	if now.Have, err = o.Management.Topology(ctx, vhost); err != nil {
		return err
	}
	now.Seen = true
	if err := o.askFigures(ctx, vhost, now); err != nil {
		return err
	}
	now.Nodes, err = o.Management.Nodes(ctx)
	return err
}

func (o *Observer) askFigures(ctx context.Context, vhost string, now *Snapshot) error {
	states, err := o.Management.Queues(ctx, vhost)
	if err != nil {
		return err
	}
	for _, s := range states {
		now.Reported[s.Name] = s.Counted
	}
	now.Queues = states
	now.Figures = true
	return nil
}

// askBroker asks over AMQP what the management API did not answer, and which permissions are missing.
func (o *Observer) askBroker(ctx context.Context, now *Snapshot) error {
	broker := o.Broker
	broker.DialTimeout, broker.CloseTimeout = probeTimeout, probeTimeout/4
	return o.onSession(ctx, broker, func(session *rabbitmq.Session) error {
		if !now.Seen || o.Exact {
			if err := o.askQueues(session, o.Topology, now); err != nil {
				return err
			}
		}
		if slices.ContainsFunc(now.Have.Exchanges, func(e topology.ExchangeSpec) bool { return e.Name == topology.Retry }) {
			now.Access = askPermission(session)
			if now.Nodes == nil && now.Access == nil { // the nodes tell their alarms
				o.probeAlarm(ctx, session)
			}
		}
		now.Blocked, _ = session.Blocked()
		return nil
	})
}

func (o *Observer) askQueues(session *rabbitmq.Session, of topology.Topology, now *Snapshot) error {
	have, states, err := session.InspectTopology(of)
	if err != nil {
		return err
	}
	if !now.Seen {
		now.Have = have
	}
	now.Exact = true
	for _, s := range states {
		q := now.Queues[s.Name]
		now.Sampled[s.Name] = q.Ready
		q.Name, q.Ready, q.Consumers, q.Counted = s.Name, s.Ready, s.Consumers, true
		now.Queues[s.Name] = q
	}
	return nil
}

// askPermission tries the permissions with what exists: whether something is missing is another question.
func askPermission(session *rabbitmq.Session) error {
	configure, write := session.CheckPermissions()
	for _, err := range []error{configure, write} {
		if errors.Is(err, rabbitmq.ErrAccessRefused) {
			return err
		}
	}
	return nil
}

// probeAlarm publishes until the broker has told the session of an alarm. It answers a blocked connection's first
// message and then tells the connection; a second message waits until it has, or until the timeout. A session that
// lasts is told by the next observation.
func (o *Observer) probeAlarm(ctx context.Context, session *rabbitmq.Session) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	for range probes(o.Exact) {
		if _, blocked := session.Blocked(); blocked {
			return
		}
		_ = tryPublishing(ctx, session) // what ends the session shows elsewhere
	}
}

// tryPublishing publishes a message without a route to composerp.retry, which is returned. During an alarm ctx ends the
// wait. The broker counts the message as unroutable.
func tryPublishing(ctx context.Context, session *rabbitmq.Session) error {
	publisher, err := session.Publisher(1)
	if err != nil {
		return err
	}
	sent, err := publisher.Publish(ctx, rabbitmq.Message{Exchange: topology.Retry, RoutingKey: topology.NoRoute, ID: uuid.NewString(), Type: "PROBE"})
	if err == nil {
		err = sent.Wait(ctx)
	}
	go func() { _ = publisher.Close() }() // the close waits for the end of an alarm
	return err
}

func probes(exact bool) int {
	if exact {
		return 2
	}
	return 1
}
