package topology

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Subscription is what one worker wants from the broker.
type Subscription struct {
	Worker       string
	RoutingKeys  []string        // what it hears
	RetryDelays  []time.Duration // how long its retry queues hold a message
	Queue        string          // a queue that exists without it, which it drains: then it has no queue and no ladder of its own
	ExternalOnly bool            // of that, it hears only what outsiders publish, and not what the relay does
}

// Topology is everything the broker must hold, in the order in which it is declared.
// All of it is durable, and all queues are quorum queues.
type Topology struct {
	Exchanges []ExchangeSpec `json:"exchanges"`
	Queues    []QueueSpec    `json:"queues"`
	Bindings  []BindingSpec  `json:"bindings"`
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

// BindingSpec leads what an exchange gets under a routing key to a queue or to another exchange.
type BindingSpec struct {
	Exchange   string `json:"exchange"`
	Queue      string `json:"queue,omitempty"`
	To         string `json:"to,omitempty"` // an exchange, where there is no queue
	RoutingKey string `json:"routingKey"`
	Header     string `json:"header,omitempty"` // of a headers exchange: what has this header, and there says true
}

// Destination is the queue or the exchange that the binding leads to.
func (b BindingSpec) Destination() string { return b.Queue + b.To }

// arguments are the binding's. A header whose name begins with x- counts only where the match says so.
func (b BindingSpec) Arguments() map[string]any {
	if b.Header == "" {
		return nil
	}
	return map[string]any{matchArgument: matchAnyWithX, b.Header: true}
}

const (
	matchArgument = "x-match"
	matchAnyWithX = "any-with-x"
)

const (
	// deliveryLimit leaves room for innocents: a dropped connection, and before 4.3 a requeue, counts as one delivery of
	// every message that was prefetched. 4.x drops after 20 where nothing is said.
	deliveryLimit = 1000
	// restingDeliveryLimit is for queues where messages lie until a person comes and looks: every look counts.
	deadLetterDeliveryLimit = 1_000_000
)

// Compute gives the topology of these subscriptions. It is pure: the same subscriptions, in any order, give the same. Whoever
// hears only what is not logged yet comes first: while an exchange is put together again, what others hear of outsiders
// reaches the log too.
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
	// Last: a dead letter that is routed somewhere is in its own queue, and the journal may be told of it later.
	t.Bindings = append(t.Bindings, BindingSpec{Exchange: Dead, Queue: DeadLetterLog, RoutingKey: "#"})
	return t
}

// addWorker adds a worker's queue, its dead letters and its retry queues.
//
// The bindings of composerp.events to the queue carry what the relay (workers/runtime/relay) publishes to the worker's
// slots (workers/worker). The ticker (eventlog.Ticker, run by cli/fleet) makes an event of the log visible to the relay;
// the doc of package worker has the whole way. The queue is also bound to composerp.retry by its own name, so that a
// redrive needs no default exchange.
func (t *Topology) addWorker(sub Subscription) {
	queue, dead := QueueName(sub.Worker), DeadQueueName(sub.Worker)
	t.Queues = append(t.Queues,
		QueueSpec{Name: queue, Arguments: workingArguments(Dead, queue)},
		QueueSpec{Name: dead, Arguments: deadLetterArguments()})
	hears := BindingSpec{Exchange: Events, Queue: queue}
	if sub.ExternalOnly {
		hears = BindingSpec{Exchange: Events, To: t.addFilter(sub.Worker)}
	}
	for _, hears.RoutingKey = range slices.Compact(slices.Sorted(slices.Values(sub.RoutingKeys))) {
		t.Bindings = append(t.Bindings, hears)
	}
	t.Bindings = append(t.Bindings,
		BindingSpec{Exchange: Retry, Queue: queue, RoutingKey: queue},
		BindingSpec{Exchange: Dead, Queue: dead, RoutingKey: queue})
	for _, d := range slices.Compact(slices.Sorted(slices.Values(sub.RetryDelays))) {
		rung := RetryQueueName(sub.Worker, d)
		arguments := workingArguments("", queue)
		arguments["x-message-ttl"] = d.Milliseconds()
		t.Queues = append(t.Queues, QueueSpec{Name: rung, Arguments: arguments})
		t.Bindings = append(t.Bindings, BindingSpec{Exchange: Retry, Queue: rung, RoutingKey: rung})
	}
}

// addFilter adds the exchanges that let only what the relay has not published through to a worker's queue, and gives the
// first. No exchange matches what is not there: so what has the header is led astray, and the rest takes the filter's
// alternate. A copy the worker need not be sent costs no delivery.
func (t *Topology) addFilter(worker string) string {
	filter, unlogged, logged := FilterName(worker), ExternalName(worker), LoggedName(worker)
	t.Exchanges = append(t.Exchanges,
		ExchangeSpec{Name: logged, Kind: "fanout"},
		ExchangeSpec{Name: unlogged, Kind: "fanout"},
		ExchangeSpec{Name: filter, Kind: "headers", Arguments: map[string]any{"alternate-exchange": unlogged}})
	t.Bindings = append(t.Bindings,
		BindingSpec{Exchange: unlogged, Queue: QueueName(worker)},
		BindingSpec{Exchange: filter, To: logged, Header: HeaderRelayed})
	return filter
}

// working are the arguments of a queue whose messages leave it for deadLetterExchange, under key, when they expire or
// have been delivered too often. At-least-once keeps such a message until its new queue has confirmed it; it needs
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
