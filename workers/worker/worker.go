package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
)

// Worker is a declared worker: a name, what it hears, and what it does about it.
type Worker struct {
	name         string
	queue        string // its own unless it drains another's
	types        []event.Type
	retryDelays  []time.Duration
	batch        int
	prefetch     int
	linger       time.Duration
	idempotent   bool
	externalOnly bool
	former       []event.Type
	quarantine   failures.QuarantinePolicy
	breakers     *Breakers

	each     map[event.Type]eachFunc
	calls    map[event.Type]call
	timer    timer
	batched  batchFunc
	messages messagesFunc
}

type (
	eachFunc     func(ctx context.Context, tx *Tx, e event.Any) error
	batchFunc    func(ctx context.Context, tx *Tx, events []event.Any) error
	messagesFunc func(ctx context.Context, tx *Tx, messages []rabbitmq.Delivery) error
)

// Option is a part of a worker's declaration.
type Option func(*Worker)

// DefaultLadder is how long a worker waits before its second, third and fourth
// try. After that a message goes to the dead letters.
var DefaultRetryDelays = []time.Duration{5 * time.Second, time.Minute, 15 * time.Minute}

// DefaultQuarantine is after how many distinct events of one type, version and
// error, failed within how long, those that fail like them are set aside at once.
var DefaultQuarantine = failures.QuarantinePolicy{After: 5, Within: time.Hour}

// Batches and prefetches by kind of handler: set-based ones bite off much, ones
// that go event by event less, and calls to the outside world go one by one.
const (
	setBatch, setPrefetch   = 200, 1000
	eachBatch, eachPrefetch = 50, 250
	callBatch, callPrefetch = 1, 4
	// Calls are made one by one, but prepared together.
	preparedBatch, preparedPrefetch = 32, 64
)

// New declares a worker. It panics on a declaration that contradicts itself:
// that is a mistake in the program, found by the first test that touches it.
func New(name string, options ...Option) Worker {
	w := Worker{name: name, queue: topology.QueueName(name), retryDelays: DefaultRetryDelays, quarantine: DefaultQuarantine, each: map[event.Type]eachFunc{}, calls: map[event.Type]call{}}
	for _, o := range options {
		o(&w)
	}
	switch {
	case w.messages != nil && len(w.types) > 0:
		panic(fmt.Sprintf("worker %s: OnMessages goes with no other handler", name))
	case w.messages == nil && len(w.types) == 0:
		panic(fmt.Sprintf("worker %s: hears nothing", name))
	case w.batched != nil && len(w.calls)+len(w.each) > 0:
		panic(fmt.Sprintf("worker %s: OnBatch goes with no other handler", name))
	case w.idempotent && len(w.calls) > 0:
		panic(fmt.Sprintf("worker %s: OnCall needs the inbox", name))
	}
	batch, prefetch := eachBatch, eachPrefetch
	switch {
	case w.batched != nil || w.messages != nil:
		batch, prefetch = setBatch, setPrefetch
	case w.preparesAll():
		batch, prefetch = preparedBatch, preparedPrefetch
	case len(w.calls) > 0:
		batch, prefetch = callBatch, callPrefetch
	}
	if w.batch == 0 {
		w.batch, w.prefetch = batch, prefetch
	}
	return w
}

// On handles one event in the transaction it is given. Several On for several
// types may stand in one worker. The error is the verdict: nil is done,
// Reject(err) sends the message to the dead letters now, Unavailable(...) lets it
// wait for somebody else without an attempt, any other error sends it to the retry
// ladder.
func On[T event.Payload](handle func(ctx context.Context, tx *Tx, e event.Of[T]) error) Option {
	return func(w *Worker) {
		t := w.subscribe(typeOf[T]())
		w.each[t] = func(ctx context.Context, tx *Tx, e event.Any) error {
			of, err := as[T](e)
			if err != nil {
				return err
			}
			return handle(ctx, tx, of)
		}
	}
}

// OnBatch handles all that has arrived at once, of all the types, in arrival
// order and in one transaction. It is meant to work set-based. An error of any
// kind makes the harness call it again with one event at a time, so that the
// verdict falls on the event that deserves it.
func OnBatch(handle func(ctx context.Context, tx *Tx, events []event.Any) error, types ...event.Type) Option {
	return func(w *Worker) {
		if w.batched != nil {
			panic(fmt.Sprintf("worker %s: OnBatch is said twice", w.name))
		}
		for _, t := range types {
			w.subscribe(t)
		}
		w.batched = handle
	}
}

// OnMessages handles messages as they are, undecoded, from a queue that is not
// the worker's own. There is no inbox: the handler must recognise by itself
// what it has seen before.
func OnMessages(queue string, handle func(ctx context.Context, tx *Tx, messages []rabbitmq.Delivery) error) Option {
	return func(w *Worker) { w.queue, w.messages, w.idempotent = queue, handle, true }
}

// Idempotent declares that the handler recognises by itself what it has seen
// before. Its events are not entered in the inbox, and audit expects none there.
func Idempotent() Option { return func(w *Worker) { w.idempotent = true } }

// Unlogged declares that the worker hears only what outsiders publish, and not what
// the relay does: that is in the log already.
func ExternalOnly() Option { return func(w *Worker) { w.externalOnly = true } }

// Formerly names types that the worker heard once: its queue may still be bound
// for them by an older fleet, or hold some. The handler gets them with the others.
func Formerly(types ...event.Type) Option { return func(w *Worker) { w.former = types } }

// Ladder sets how long to wait before each further try.
func RetryDelays(rungs ...time.Duration) Option { return func(w *Worker) { w.retryDelays = rungs } }

// Quarantine sets after how many distinct events that have failed with one error,
// within how long, that class of them is set aside; after 0 none ever is.
func Quarantine(after int, within time.Duration) Option {
	return func(w *Worker) { w.quarantine = failures.QuarantinePolicy{After: after, Within: within} }
}

// Batch sets how many messages one transaction takes at most, and how many the
// broker may send ahead.
func Batch(size, prefetch int) Option {
	return func(w *Worker) { w.batch, w.prefetch = size, prefetch }
}

// Linger lets a slot that finds several messages, and fewer than a batch, wait so
// long for more: under load that makes few large transactions of many small ones.
// A message that comes alone is handled at once. It is for workers whom nobody waits for.
func Linger(wait time.Duration) Option { return func(w *Worker) { w.linger = wait } }

func (w *Worker) subscribe(t event.Type) event.Type {
	for _, known := range w.types {
		if known == t {
			panic(fmt.Sprintf("worker %s: hears %s twice", w.name, t))
		}
	}
	w.types = append(w.types, t)
	return t
}

// Name is the worker's name, which is also its consumer's in the inbox.
func (w Worker) Name() string { return w.name }

// Queue is the queue the worker drains.
func (w Worker) Queue() string { return w.queue }

// Types are the event types it hears.
func (w Worker) Types() []event.Type { return w.types }

// Owes tells whether audit expects a row in the inbox for every event heard.
func (w Worker) TracksInbox() bool { return !w.idempotent }

// Subscription is what the worker needs of the exchange.
func (w Worker) Subscription() topology.Subscription {
	s := topology.Subscription{Worker: w.name, RetryDelays: w.retryDelays, ExternalOnly: w.externalOnly}
	if w.drainsAnothers() {
		s.Queue = w.queue
	}
	for _, t := range w.types {
		s.RoutingKeys = append(s.RoutingKeys, t.RoutingKey())
	}
	return s
}

func (w Worker) drainsAnothers() bool { return w.queue != topology.QueueName(w.name) }

func (w Worker) preparesAll() bool {
	for _, c := range w.calls {
		if c.prepare == nil {
			return false
		}
	}
	return len(w.calls) > 0
}

func (w Worker) makesCalls() bool { return len(w.calls) > 0 }

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
