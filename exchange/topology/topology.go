package topology

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Subscription is what one worker needs from the broker.
type Subscription struct {
	Worker       string
	RoutingKeys  []string        // the events it consumes
	RetryDelays  []time.Duration // how long its retry queues hold a message
	Queue        string          // an existing queue that it drains: then it has no queue and no retry queues of its own
	ExternalOnly bool            // consume only external publishers' events, not the relay's
	Ordered      bool            // its queue can be divided into lanes
	Lanes        Lanes           // of an ordered worker
	// Reads has the version of each routing key whose older version alone it reads; From the exchanges that such a key
	// comes from now, composerp.events where it has none.
	Reads map[string]string
	From  map[string][]string
}

// Topology is everything the broker must hold, in the order of declaration. All of it is durable, and all queues are
// quorum queues.
type Topology struct {
	Exchanges []ExchangeSpec `json:"exchanges"`
	Queues    []QueueSpec    `json:"queues"`
	Bindings  []BindingSpec  `json:"bindings"`
	// Foreign are bindings of other programs' queues and exchanges to ours, as a broker has them; no part of a fleet.
	Foreign []BindingSpec `json:"-"`
}

// ExchangeSpec is a durable exchange.
type ExchangeSpec struct {
	Name      string         `json:"name"`
	Kind      string         `json:"type"`
	Arguments map[string]any `json:"arguments,omitempty"`
}

// QueueSpec is a durable queue; its type is among its arguments.
type QueueSpec struct {
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
}

// BindingSpec routes messages of an exchange with a routing key to a queue or to another exchange.
type BindingSpec struct {
	Exchange   string `json:"exchange"`
	Queue      string `json:"queue,omitempty"`
	To         string `json:"to,omitempty"` // an exchange, when Queue is ""
	RoutingKey string `json:"routingKey"`
	Header     string `json:"header,omitempty"` // of a headers exchange: messages with this header set to Value
	Value      string `json:"value,omitempty"`  // a text; empty: true
}

// Destination is the queue or the exchange that the binding routes to.
func (b BindingSpec) Destination() string { return b.Queue + b.To }

// Arguments are the binding's arguments. A header whose name begins with x- is matched only by any-with-x.
func (b BindingSpec) Arguments() map[string]any {
	if b.Header == "" {
		return nil
	}
	if b.Value != "" {
		return map[string]any{matchArgument: matchAnyWithX, b.Header: b.Value}
	}
	return map[string]any{matchArgument: matchAnyWithX, b.Header: true}
}

const (
	matchArgument = "x-match"
	matchAnyWithX = "any-with-x"
)

const (
	// deliveryLimit is high because a dropped connection, and before 4.3 a requeue, counts as one delivery of every
	// prefetched message. 4.x drops after 20 unless the limit is set.
	deliveryLimit = 1000
	// deadLetterDeliveryLimit is for queues whose messages wait for a person: every browse counts.
	deadLetterDeliveryLimit = 1_000_000
)

// Compute returns the topology of these subscriptions, whatever their order. External-only workers come first: while
// an exchange is being restored, events that other workers get from external publishers reach the log too.
func Compute(subs []Subscription) Topology {
	t := Topology{
		Exchanges: []ExchangeSpec{
			{Name: Unrouted, Kind: "fanout"},
			{Name: Events, Kind: "topic", Arguments: map[string]any{"alternate-exchange": Unrouted}},
			{Name: Retry, Kind: "topic"},
			{Name: Dead, Kind: "topic"},
		},
		Queues: []QueueSpec{
			{Name: Unrouted, Arguments: deadLetterArguments()},
			{Name: DeadLetterLog, Arguments: deadLetterArguments()},
		},
		Bindings: []BindingSpec{
			{Exchange: Unrouted, Queue: Unrouted, RoutingKey: ""},
		},
	}
	rank := func(s Subscription) int {
		if s.ExternalOnly {
			return 0
		}
		return 1
	}
	sorted := slices.SortedFunc(slices.Values(subs), func(a, b Subscription) int {
		return cmp.Or(rank(a)-rank(b), strings.Compare(a.Worker, b.Worker))
	})
	for _, sub := range sorted {
		if sub.Queue == "" {
			t.addWorker(sub)
		}
	}
	// Last: a routed dead letter is then in its own queue already, and the dead-letter log may get it later.
	t.Bindings = append(t.Bindings, BindingSpec{Exchange: Dead, Queue: DeadLetterLog, RoutingKey: "#"})
	return t
}

// addWorker adds a worker's queue, its dead letters and its retry queues.
//
// The bindings of composerp.events to the queue carry what the relay (workers/runtime/relay) publishes to the worker's
// slots (workers/worker). The ticker (eventlog.Ticker, run by cli/fleet) makes an event of the log visible to the
// relay; the doc of package worker has the whole way. The queue is also bound to composerp.retry by its own name, so
// that a redrive needs no default exchange.
func (t *Topology) addWorker(sub Subscription) {
	queue, dead := QueueName(sub.Worker), DeadQueueName(sub.Worker)
	t.Queues = append(t.Queues,
		QueueSpec{Name: queue, Arguments: workingArguments(Dead, queue)},
		QueueSpec{Name: dead, Arguments: deadLetterArguments()})
	if sub.ExternalOnly {
		t.addFilter(sub.Worker)
	}
	if sub.Ordered {
		t.addLanes(sub)
	}
	t.Bindings = append(t.Bindings, sub.EventBindings()...)
	t.Bindings = append(t.Bindings,
		BindingSpec{Exchange: Retry, Queue: queue, RoutingKey: queue},
		BindingSpec{Exchange: Dead, Queue: dead, RoutingKey: queue})
	for _, d := range slices.Compact(slices.Sorted(slices.Values(sub.RetryDelays))) {
		name := RetryQueueName(sub.Worker, d)
		arguments := workingArguments("", queue)
		arguments["x-message-ttl"] = d.Milliseconds()
		t.Queues = append(t.Queues, QueueSpec{Name: name, Arguments: arguments})
		t.Bindings = append(t.Bindings, BindingSpec{Exchange: Retry, Queue: name, RoutingKey: name})
	}
}

// addFilter adds the exchanges that let only external publishers' events through to a worker's queue. No exchange can
// match a missing header, so messages with it are routed to an exchange without bindings, and the rest takes the
// filter's alternate exchange. A relayed copy thus costs no delivery.
func (t *Topology) addFilter(worker string) {
	filter, unlogged, logged := FilterName(worker), ExternalName(worker), LoggedName(worker)
	t.Exchanges = append(t.Exchanges,
		ExchangeSpec{Name: logged, Kind: "fanout"},
		ExchangeSpec{Name: unlogged, Kind: "fanout"},
		ExchangeSpec{Name: filter, Kind: "headers", Arguments: map[string]any{"alternate-exchange": unlogged}})
	t.Bindings = append(t.Bindings,
		BindingSpec{Exchange: unlogged, Queue: QueueName(worker)},
		BindingSpec{Exchange: filter, To: logged, Header: HeaderRelayed})
}

// workingArguments are those of a queue whose messages go to deadLetterExchange, under key, when they expire or reach
// the delivery limit. At-least-once keeps such a message until its new queue has confirmed it; it needs
// reject-publish.
func workingArguments(deadLetterExchange, key string) map[string]any {
	return map[string]any{
		"x-queue-type":              "quorum",
		"x-delivery-limit":          int64(deliveryLimit),
		"x-dead-letter-exchange":    deadLetterExchange,
		"x-dead-letter-routing-key": key,
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish",
	}
}

func deadLetterArguments() map[string]any {
	return map[string]any{"x-queue-type": "quorum", "x-delivery-limit": int64(deadLetterDeliveryLimit)}
}
