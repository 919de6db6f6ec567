package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/shadow"
)

// Worker is a declared worker: a name, the event types it subscribes to, and their handlers.
type Worker struct {
	Emits []event.Type // what its handlers emit, as package emits has declared it
	// TakesAgain: a replay may have it handle events again. Package again declares it; of a worker that only makes calls,
	// which a replay leaves out, it holds too.
	TakesAgain bool
	// Keeps are the tables that its handlers write; package keeps declares them.
	Keeps []shadow.Table
	// Reads has the types whose older version alone it reads; package reads declares them.
	Reads map[event.Type]string

	name         string
	queue        string // its own, but for OnMessages
	types        []event.Type
	former       []event.Type
	retryDelays  []time.Duration
	batch        int
	prefetch     int
	linger       time.Duration
	idempotent   bool
	externalOnly bool
	ordered      bool
	quarantine   failures.QuarantinePolicy
	breakers     *Breakers
	counted      counted

	onEvent    map[event.Type]eventHandler
	onCall     map[event.Type]call
	onBatch    batchHandler
	onMessages messagesHandler
	timer      timer
}

// Option is a part of a worker's declaration.
type Option func(*Worker)

// Batch sizes and prefetches by kind of handler: a set-based handler gains from large batches, a handler of single
// events less, and calls are made one at a time.
const (
	setBatch, setPrefetch   = 200, 1000
	eachBatch, eachPrefetch = 50, 250
	callBatch, callPrefetch = 1, 4
	// Calls are made one at a time, but prepared together.
	preparedBatch, preparedPrefetch = 32, 64
)

// New declares a worker. It panics on a declaration that can not work: that is a
// mistake in the program, found by its start and by every test of the worker.
func New(name string, options ...Option) Worker {
	w := Worker{
		name: name, queue: topology.QueueName(name), retryDelays: DefaultRetryDelays, quarantine: DefaultQuarantine,
		onEvent: map[event.Type]eventHandler{}, onCall: map[event.Type]call{},
	}
	for _, o := range options {
		o(&w)
	}
	w.check()
	w.TakesAgain = w.TakesAgain || len(w.onCall) > 0 && len(w.onEvent) == 0
	if w.batch == 0 {
		w.batch, w.prefetch = w.sizes()
	}
	return w
}

// check panics where the options contradict each other.
func (w *Worker) check() {
	switch {
	case w.onMessages != nil && len(w.types) > 0:
		panic(fmt.Sprintf("worker %s: OnMessages goes with no other handler", w.name))
	case w.onMessages == nil && len(w.types) == 0:
		panic(fmt.Sprintf("worker %s: it subscribes to no event type", w.name))
	case w.onBatch != nil && len(w.onCall)+len(w.onEvent) > 0:
		panic(fmt.Sprintf("worker %s: OnBatch goes with no other handler", w.name))
	case w.ordered && (len(w.onCall) > 0 || w.idempotent || w.externalOnly):
		panic(fmt.Sprintf("worker %s: Ordered goes with On and OnBatch alone", w.name))
	case w.ordered && len(w.Reads) > 0:
		panic(fmt.Sprintf("worker %s: Ordered goes with the current version of a type alone", w.name))
	case w.idempotent && len(w.onCall) > 0:
		panic(fmt.Sprintf("worker %s: OnCall needs the inbox", w.name))
	}
}

// sizes are batch and prefetch by kind of handler.
func (w *Worker) sizes() (batch, prefetch int) {
	switch {
	case w.onBatch != nil || w.onMessages != nil:
		return setBatch, setPrefetch
	case w.preparesAll():
		return preparedBatch, preparedPrefetch
	case len(w.onCall) > 0:
		return callBatch, callPrefetch
	}
	return eachBatch, eachPrefetch
}

// Idempotent declares that the handler recognises by itself the events that it
// has handled. They are not entered in the inbox, and the audit expects none there.
func Idempotent() Option { return func(w *Worker) { w.idempotent = true } }

// ExternalOnly declares that the worker consumes only events of external
// publishers, and not those that the relay publishes from the log.
func ExternalOnly() Option { return func(w *Worker) { w.externalOnly = true } }

// Formerly names types that an older version of the worker subscribed to: its
// queue may still be bound for them, or hold some. The handler gets them too.
func Formerly(types ...event.Type) Option { return func(w *Worker) { w.former = types } }

// Batch sets how many messages one transaction takes at most, and how many the
// broker may send ahead.
func Batch(size, prefetch int) Option {
	return func(w *Worker) { w.batch, w.prefetch = size, prefetch }
}

// Linger lets a slot that has taken several messages, but less than a batch, wait
// this long for more: under load a few large transactions replace many small ones.
// A message that comes alone is handled at once. Linger delays the worker's effects.
func Linger(wait time.Duration) Option { return func(w *Worker) { w.linger = wait } }

// subscribe adds a type to the worker's subscription. Of a type that the
// catalogue lacks nothing is known to bind the queue by.
func (w *Worker) subscribe(t event.Type) event.Type {
	if _, known := event.Lookup(t); !known {
		panic(fmt.Sprintf("worker %s: the event catalogue has no type %q", w.name, t))
	}
	if slices.Contains(w.types, t) {
		panic(fmt.Sprintf("worker %s: it subscribes to %s twice", w.name, t))
	}
	w.types = append(w.types, t)
	return t
}

// Name is the worker's name, which is also its consumer's in the inbox.
func (w Worker) Name() string { return w.name }

// Queue is the queue the worker consumes.
func (w Worker) Queue() string { return w.queue }

// Types are the event types it subscribes to.
func (w Worker) Types() []event.Type { return w.types }

// FullBatch is how many messages the worker handles at once at the most.
func (w Worker) FullBatch() int { return w.batch }

// TracksInbox tells whether each of the worker's events gets a row in the inbox.
func (w Worker) TracksInbox() bool { return !w.idempotent }

// Subscription is what the worker needs of the exchange.
func (w Worker) Subscription() topology.Subscription {
	s := topology.Subscription{Worker: w.name, RetryDelays: w.retryDelays, ExternalOnly: w.externalOnly, Ordered: w.ordered}
	if w.consumesForeignQueue() {
		s.Queue = w.queue
	}
	for _, t := range w.types {
		s.RoutingKeys = append(s.RoutingKeys, t.RoutingKey())
		if version, only := w.Reads[t]; only {
			if s.Reads == nil {
				s.Reads = map[string]string{}
			}
			s.Reads[t.RoutingKey()] = version
		}
	}
	return s
}

// emitsTwoVersions tells whether the stage of a type that it emits decides about the version.
func (w Worker) emitsTwoVersions() bool {
	return slices.ContainsFunc(w.Emits, func(t event.Type) bool {
		d, _ := event.Lookup(t)
		return d.Older() != ""
	})
}

func (w Worker) consumesForeignQueue() bool { return w.queue != topology.QueueName(w.name) }

func (w Worker) preparesAll() bool {
	for _, c := range w.onCall {
		if c.prepare == nil {
			return false
		}
	}
	return len(w.onCall) > 0
}

func (w Worker) makesCalls() bool { return len(w.onCall) > 0 }

type (
	eventHandler    func(ctx context.Context, tx *Tx, e event.Any) error
	batchHandler    func(ctx context.Context, tx *Tx, events []event.Any) error
	messagesHandler func(ctx context.Context, tx *Tx, messages []rabbitmq.Delivery) error
)

// On handles one event in the transaction that the handler is given. A worker may
// have an On for each of several types.
//
// The handler's error is the outcome: after nil the event is done; after Reject the
// message becomes a dead letter at once; after Unavailable it waits for its
// dependency and keeps its attempts; after any other error it is retried.
func On[T event.Payload](handle func(ctx context.Context, tx *Tx, e event.Of[T]) error) Option {
	return func(w *Worker) {
		t := w.subscribe(typeOf[T]())
		w.onEvent[t] = func(ctx context.Context, tx *Tx, e event.Any) error {
			of, err := as[T](e)
			if err != nil {
				return err
			}
			return handle(ctx, tx, of)
		}
	}
}

// OnBatch handles all events of a batch at once, of all the types, in arrival
// order and in one transaction. It is for set-based handlers. After an error the
// harness calls it again with one event at a time, so that the outcome is that of
// the event that failed.
func OnBatch(handle func(ctx context.Context, tx *Tx, events []event.Any) error, types ...event.Type) Option {
	return func(w *Worker) {
		if w.onBatch != nil {
			panic(fmt.Sprintf("worker %s: it has two OnBatch", w.name))
		}
		for _, t := range types {
			w.subscribe(t)
		}
		w.onBatch = handle
	}
}

// OnMessages handles undecoded messages of a queue that is not the worker's own.
// There is no inbox: the handler must recognise by itself the messages that it
// has handled.
func OnMessages(queue string, handle func(ctx context.Context, tx *Tx, messages []rabbitmq.Delivery) error) Option {
	return func(w *Worker) { w.queue, w.onMessages, w.idempotent = queue, handle, true }
}

func typeOf[T event.Payload]() event.Type {
	var zero T
	return zero.EventType()
}

func as[T event.Payload](e event.Any) (event.Of[T], error) {
	of, ok := event.As[T](e)
	if !ok {
		return of, Reject(fmt.Errorf("event %s of type %s has a payload of another type", e.ID, e.Type))
	}
	return of, nil
}
