package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/versions"
	"github.com/composerp/composerp/workers/runtime/unrouted"
)

// Consumer is a queue, or an exchange before queues, that is bound for the type's key.
type Consumer struct {
	Queue string `json:"queue"`
	// Reads is the version that it reads: the current one, the older one alone, or "" where that is not known.
	Reads string `json:"reads"`
	// From are the exchanges that it is bound to now.
	From []string `json:"from"`
	Why  string   `json:"why"` // how its version is known
	// Waiting are the messages of its queue and retry queues, Dead its dead letters, of all types; -1: not known. No more
	// than these are of the older version; all are read, upcast where needed.
	Waiting int64 `json:"waiting"`
	Dead    int64 `json:"dead"`

	bindings []topology.BindingSpec
}

// Status is how far a migration has come.
type Status struct {
	versions.State
	RoutingKey string     `json:"routingKey"`
	Older      string     `json:"older"`
	Current    string     `json:"current"`
	Adopted    bool       `json:"adopted"` // a relay publishes as the stage says
	Consumers  []Consumer `json:"consumers"`
	// InTheWay is what keeps the next step, start or finish, from being taken.
	InTheWay []string `json:"inTheWay"`

	nodes []versions.Node
}

// Status reads the stage, the bindings and the nodes.
func (m *Migration) Status(ctx context.Context) (Status, error) {
	d, known := event.Lookup(m.Type)
	if !known || d.Older() == "" {
		return Status{}, fmt.Errorf("%s has no older version that can be emitted: there is nothing to migrate", m.Type)
	}
	states, err := versions.Read(ctx, m.DB)
	if err != nil {
		return Status{}, err
	}
	s := Status{State: versions.Of(states, m.Type), RoutingKey: d.RoutingKey, Older: d.Older(), Current: d.Version, Consumers: []Consumer{}, InTheWay: []string{}}
	s.Adopted = s.State.Adopted()
	if s.nodes, err = versions.Nodes(ctx, m.DB); err != nil {
		return s, err
	}
	declared, err := versions.Queues(ctx, m.DB)
	if err != nil {
		return s, err
	}
	if err := m.readConsumers(ctx, &s); err != nil {
		return s, err
	}
	for i := range s.Consumers {
		m.findVersion(&s, &s.Consumers[i], declared)
	}
	switch s.Stage {
	case versions.Both:
		s.InTheWay = append(s.InTheWay, s.waysToFinish()...)
	case versions.Old, versions.Mirror:
		s.InTheWay = append(s.InTheWay, s.waysToStart()...)
	}
	return s, nil
}

// readConsumers asks the broker who is bound for the key.
func (m *Migration) readConsumers(ctx context.Context, s *Status) error {
	if m.Management == nil {
		return errors.New("the management API is needed, which alone lists bindings: name it by --management-url")
	}
	vhost, err := m.Broker.Vhost()
	if err != nil {
		return err
	}
	queues, err := m.Management.Queues(ctx, vhost)
	if err != nil {
		return err
	}
	for _, exchange := range []string{topology.Events, topology.EventsV1} {
		bindings, err := m.Management.BindingsFrom(ctx, vhost, exchange)
		if err != nil && !errors.Is(err, rabbitmq.ErrMissing) {
			return err
		}
		for _, b := range bindings {
			if !unrouted.RoutedBy(b.RoutingKey, s.RoutingKey) {
				continue
			}
			i := slices.IndexFunc(s.Consumers, func(c Consumer) bool { return c.Queue == b.Destination() })
			if i < 0 {
				c := Consumer{Queue: b.Destination(), Waiting: -1, Dead: -1}
				c.count(queues)
				i, s.Consumers = len(s.Consumers), append(s.Consumers, c)
			}
			c := &s.Consumers[i]
			c.bindings = append(c.bindings, b)
			if !slices.Contains(c.From, exchange) {
				c.From = append(c.From, exchange)
			}
		}
	}
	slices.SortFunc(s.Consumers, func(a, b Consumer) int { return strings.Compare(a.Queue, b.Queue) })
	return nil
}

// count adds up the messages of the consumer's queues.
func (c *Consumer) count(queues map[string]topology.QueueState) {
	own := strings.HasPrefix(c.Queue, topology.Prefix)
	for name, q := range queues {
		depth := q.Ready + q.Unacked
		switch same := name == c.Queue || own && topology.WorkerOf(name) == topology.WorkerOf(c.Queue); {
		case !same:
		case name == topology.DeadQueueName(topology.WorkerOf(c.Queue)):
			c.Dead = max(0, c.Dead) + depth
		default:
			c.Waiting = max(0, c.Waiting) + depth
		}
	}
}

// findVersion finds the version that a consumer reads.
func (m *Migration) findVersion(s *Status, c *Consumer, declared []versions.Declared) {
	worker := ""
	if strings.HasPrefix(c.Queue, topology.Prefix) {
		worker = topology.WorkerOf(c.Queue)
	}
	for _, sub := range m.Subscriptions {
		if sub.Worker == worker {
			c.Reads, c.Why = s.Current, "a worker of this program"
			if older, only := sub.Reads[s.RoutingKey]; only {
				c.Reads, c.Why = older, "its worker declares that it reads no other"
				return
			}
		}
	}
	for _, n := range s.nodes {
		if worker == "" || !n.Runs(worker) {
			continue
		}
		if older := n.OlderOnly(m.Type, worker); older != "" {
			c.Reads, c.Why = older, "its worker on "+n.ID+" declares that it reads no other"
			return
		}
		if c.Reads == "" && n.Knows(m.Type, s.Current) {
			c.Reads, c.Why = s.Current, "the program of "+n.ID+" reads it"
		}
	}
	for _, d := range declared {
		if d.Queue == c.Queue && d.Type == m.Type && c.Reads == "" {
			c.Reads, c.Why = d.Version, "declared by "+d.UpdatedBy
		}
	}
}

// waysToStart is what could not read what it would get.
func (s Status) waysToStart() (ways []string) {
	for _, n := range s.nodes {
		if !n.Knows(s.Type, s.Current) {
			ways = append(ways, fmt.Sprintf("node %s runs version %s of the program, which does not read %s %s: run the newest there", n.ID, n.Version, s.Type, s.Current))
		}
	}
	for _, c := range s.Consumers {
		if way := s.wayOf(c); way != "" {
			ways = append(ways, way)
		}
	}
	return ways
}

func (s Status) wayOf(c Consumer) string {
	patterned := slices.ContainsFunc(c.bindings, func(b topology.BindingSpec) bool { return b.RoutingKey != s.RoutingKey || b.Header != "" })
	switch {
	case c.Reads == "":
		return fmt.Sprintf("queue %s is not the fleet's and is bound for %s: `composerp contracts ready %s --type %s --version %s` once its consumer reads %s, or --version %s to have it get that from %s",
			c.Queue, s.RoutingKey, c.Queue, s.Type, s.Current, s.Current, s.Older, topology.EventsV1)
	case event.SameMajor(c.Reads, s.Older) && patterned && slices.Contains(c.From, topology.Events):
		return fmt.Sprintf("queue %s reads %s and is bound by a pattern: bind it by the keys that it needs, so that %s can be moved to %s", c.Queue, s.Older, s.RoutingKey, topology.EventsV1)
	}
	return ""
}

// waysToFinish are the consumers that read the older version, and those that may.
func (s Status) waysToFinish() (ways []string) {
	for _, c := range s.Consumers {
		switch {
		case event.SameMajor(c.Reads, s.Older):
			ways = append(ways, fmt.Sprintf("%s reads %s (%s)", c.Queue, s.Older, c.Why))
		default:
			if way := s.wayOf(c); way != "" {
				ways = append(ways, way)
			}
		}
	}
	for _, n := range s.nodes {
		if !n.Knows(s.Type, s.Current) {
			ways = append(ways, fmt.Sprintf("node %s runs version %s of the program, which does not read %s %s: run the newest there", n.ID, n.Version, s.Type, s.Current))
		}
	}
	return ways
}

func readsOlder(s *Status, c *Consumer) bool   { return event.SameMajor(c.Reads, s.Older) }
func readsCurrent(s *Status, c *Consumer) bool { return event.SameMajor(c.Reads, s.Current) }

// bindings are those by which consumers get the type from an exchange, by its key.
func (s Status) bindings(exchange string, which func(*Status, *Consumer) bool) (all []topology.BindingSpec) {
	for i := range s.Consumers {
		c := &s.Consumers[i]
		if !which(&s, c) || exchange == topology.Events && slices.Contains(c.From, topology.Events) {
			continue
		}
		b := c.bindings[0]
		b.Exchange, b.RoutingKey = exchange, s.RoutingKey
		all = append(all, b)
	}
	return all
}

// bound are the bindings that consumers have to an exchange by the type's key.
func (s Status) bound(exchange string, which func(*Status, *Consumer) bool) (all []topology.BindingSpec) {
	for i := range s.Consumers {
		for _, b := range s.Consumers[i].bindings {
			if which(&s, &s.Consumers[i]) && b.Exchange == exchange && b.RoutingKey == s.RoutingKey {
				all = append(all, b)
			}
		}
	}
	return all
}

// Drift is what gets a version that it cannot read, or may: a queue that was bound, or a node that was started,
// after the migration was.
func (s Status) Drift() []string {
	switch s.Stage {
	case versions.Both:
		return s.waysToStart()
	case versions.New:
		return s.waysToFinish()
	}
	return nil
}
