package watchdog

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/management"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// Look is the state of the fleet at one moment. What could not be asked has an error instead.
type Snapshot struct {
	At       time.Time
	Log      eventlog.Health
	Database error  // why the log could not be asked
	Broker   error  // why the broker could not be asked
	Access   error  // what its user may not do
	Blocked  string // why it takes no messages, as it told whoever published
	// Have is what the broker holds of the topology; Seen says that the bindings and arguments in it are known too.
	Have topology.Topology
	Seen bool
	// Queues are by name. Without Figures only Ready and Consumers are known of them.
	Queues  map[string]topology.QueueState
	Figures bool
	// Exact says that Ready and Consumers are exact. Sampled is Ready as the figures had it, a moment ago.
	Exact   bool
	Sampled map[string]int64
	Nodes   []management.NodeState
	Unseen  error // why the management API did not tell
}

// Looker looks at a fleet again and again, on one session as long as it lasts. DB, Exchange and Plan are needed.
type Observer struct {
	DB         *store.DB
	Exchange   rabbitmq.Config
	Management *management.Client // may be nil
	Plan       Plan
	// Exact has it ask the broker itself how each queue stands, beside the management API, whose figures may be some
	// seconds old.
	Exact bool

	session *rabbitmq.Session
}

// askPatience bounds each question of a look. probePatience is how long the broker may take for one message: during an
// alarm it takes none.
const (
	askPatience   = 5 * time.Second
	probePatience = 2 * time.Second
)

var errNoDatabase = errors.New("no database is known")

var errNoManagement = errors.New("the URL of RabbitMQ's management API is not known: bindings, alarms and progress are not watched")

// Look looks at everything. It asks the log first: whatever the relay had passed by then was routed by what the broker
// holds at that moment, or a later one.
func (l *Observer) Observe(ctx context.Context) Snapshot {
	now := Snapshot{At: time.Now(), Queues: map[string]topology.QueueState{}, Sampled: map[string]int64{}}
	within := func(ask func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, askPatience)
		defer cancel()
		return ask(ctx)
	}
	now.Database = within(func(ctx context.Context) (err error) {
		if l.DB == nil {
			return errNoDatabase
		}
		now.Log, err = eventlog.ReadHealth(ctx, l.DB)
		return err
	})
	now.Unseen = within(func(ctx context.Context) error { return l.askManagement(ctx, &now) })
	now.Broker = within(func(ctx context.Context) error { return l.askBroker(ctx, &now) })
	return now
}

// Close ends the session.
func (l *Observer) Close() {
	if l.session != nil {
		_ = l.session.Close()
	}
}

func (l *Observer) askManagement(ctx context.Context, now *Snapshot) error {
	if l.Management == nil {
		return errNoManagement
	}
	vhost, err := l.Exchange.Vhost()
	if err != nil {
		return err
	}
	if now.Have, err = l.Management.Topology(ctx, vhost); err != nil {
		return err
	}
	now.Seen = true
	states, err := l.Management.Queues(ctx, vhost)
	if err != nil {
		return err
	}
	for _, s := range states {
		now.Queues[s.Name] = s
	}
	now.Figures = true
	now.Nodes, err = l.Management.Nodes(ctx)
	return err
}

// askBroker asks over AMQP what the management API did not tell, and on new channels what is allowed.
func (l *Observer) askBroker(ctx context.Context, now *Snapshot) error {
	session, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = session.Close() })() // a call to a broker that hangs ends with it
	if !now.Seen || l.Exact {
		if err := l.askQueues(session, now); err != nil {
			return err
		}
	}
	now.Access = l.askPermission(ctx, session, now.Have)
	now.Blocked, _ = session.Blocked()
	return nil
}

func (l *Observer) askQueues(session *rabbitmq.Session, now *Snapshot) error {
	have, states, err := session.InspectTopology(l.Plan.Topology)
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

// askPermission asks with what is there: whether something is missing is another question.
func (l *Observer) askPermission(ctx context.Context, session *rabbitmq.Session, have topology.Topology) error {
	if !slices.ContainsFunc(have.Exchanges, func(e topology.ExchangeSpec) bool { return e.Name == topology.Retry }) {
		return nil
	}
	if err := session.CheckConfigurePermission(); errors.Is(err, rabbitmq.ErrAccessRefused) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	// During an alarm the broker answers a connection's first message, and then tells it that it is blocked: a second one
	// is waited for until then, or until patience ends. A session that lasts is told by the next look.
	for range probes(l.Exact) {
		if _, blocked := session.Blocked(); blocked {
			return nil
		}
		if err := session.CheckWritePermission(ctx); errors.Is(err, rabbitmq.ErrAccessRefused) {
			return err
		}
	}
	return nil
}

func probes(exact bool) int {
	if exact {
		return 2
	}
	return 1
}

func (l *Observer) open(ctx context.Context) (*rabbitmq.Session, error) {
	if l.session != nil && l.session.Err() == nil {
		return l.session, nil
	}
	cfg := l.Exchange
	cfg.DialTimeout, cfg.CloseTimeout = probePatience, probePatience/4
	session, err := rabbitmq.Open(ctx, cfg)
	if err == nil {
		l.session = session
	}
	return session, err
}
