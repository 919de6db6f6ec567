package workertest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker"
)

// Env is a test environment: a migrated database and a virtual host that only this test uses, both deleted at its
// end, and the parts of the fleet that the test starts on them.
type Env struct {
	*storetest.Env
	Broker rabbitmq.Config

	session   *rabbitmq.Session
	publisher *rabbitmq.Publisher
}

// connections is the size of an environment's pool.
const connections = 8

// unconfirmed is how many messages Send publishes ahead of their confirms.
const unconfirmed = 1024

// NewEnv makes an environment whose broker has what the workers need.
func NewEnv(t testing.TB, workers ...worker.Worker) *Env {
	t.Helper()
	env := NewDatabaseEnv(t)
	env.MakeVhost(workers...)
	return env
}

// MakeVhost gives an environment of NewDatabaseEnv its virtual host, with what the workers need.
func (env *Env) MakeVhost(workers ...worker.Worker) {
	env.Helper()
	env.Broker = rabbitmqtest.Vhost(env)
	env.Broker.Backoff, env.Broker.MaxBackoff = 10*time.Millisecond, 200*time.Millisecond
	env.Apply(workers...)
	env.open()
}

// NewDatabaseEnv makes an environment without a broker, for tests that call Handle.
func NewDatabaseEnv(t testing.TB) *Env {
	t.Helper()
	url := storetest.URL(t)
	return &Env{Env: &storetest.Env{TB: t, DB: storetest.Open(t, url, connections), URL: url}}
}

// Apply declares the queues, exchanges and bindings that the workers need.
func (env *Env) Apply(workers ...worker.Worker) {
	env.Helper()
	env.ApplyTopology(topologyOf(workers...))
}

// ApplyTopology declares a topology.
func (env *Env) ApplyTopology(want topology.Topology) {
	env.Helper()
	env.Must(rabbitmq.Apply(env.Context(), want, env.Broker))
}

// topologyOf is what the workers need of the broker.
func topologyOf(workers ...worker.Worker) topology.Topology {
	subscriptions := make([]topology.Subscription, len(workers))
	for i, w := range workers {
		subscriptions[i] = w.Subscription()
	}
	return topology.Compute(subscriptions)
}

// Must ends the test on an error.
func (env *Env) Must(err error) {
	env.Helper()
	storetest.Must(env, err)
}

// Admit enters events in the log as intake and the importer do; the relay publishes them.
func (env *Env) Admit(events ...event.Any) {
	env.Helper()
	env.admit(events, true)
}

// AdmitPublished enters events in the log as if they had come straight over AMQP: the relay leaves them alone.
func (env *Env) AdmitPublished(events ...event.Any) {
	env.Helper()
	env.admit(events, false)
}

func (env *Env) admit(events []event.Any, publish bool) {
	env.Helper()
	for some := range slices.Chunk(events, 1000) {
		admissions, err := eventlog.AdmitOnce(env.Context(), env.DB, some, publish)
		env.Must(err)
		for i, admission := range admissions {
			if admission != eventlog.Admitted {
				env.Fatalf("admitting event %s: %v", some[i].ID, admission)
			}
		}
	}
}

// Published tells whether the relay has passed every event of the log.
func (env *Env) Published() bool {
	log, err := eventlog.ReadState(env.Context(), env.DB, "")
	return err == nil && log.Unpublished == 0
}

// Claim enters events into the inbox of a consumer of sales: it has handled them.
func (env *Env) Claim(consumer string, events ...uuid.UUID) {
	env.Helper()
	id := env.Consumer(consumer)
	env.Must(env.InTx(env.Context(), func(tx store.Tx) error { _, err := inbox.Claim(env.Context(), tx, id, events); return err }))
}

// Publish publishes events straight over AMQP as an external publisher does, and waits for the confirms.
func (env *Env) Publish(events ...event.Any) {
	env.Helper()
	messages := make([]rabbitmq.Message, len(events))
	for i, e := range events {
		messages[i] = Delivery(e).Message
	}
	env.Send(messages...)
}

// Send publishes messages and waits for the confirms.
func (env *Env) Send(messages ...rabbitmq.Message) {
	env.Helper()
	env.open()
	confirmations := make([]*rabbitmq.Confirmation, len(messages))
	for i, m := range messages {
		c, err := env.publisher.Publish(env.Context(), m)
		env.Must(err)
		confirmations[i] = c
	}
	for _, c := range confirmations {
		env.Must(c.Wait(env.Context()))
	}
}

// Receive takes n messages from a queue and acknowledges them.
func (env *Env) Receive(queue string, n int) []rabbitmq.Delivery {
	env.Helper()
	env.open()
	ctx, cancel := context.WithTimeout(env.Context(), localtest.Deadline(Timeout))
	defer cancel()
	consumer, err := env.session.Consume(queue, fmt.Sprintf("receive.%s.%d", queue, time.Now().UnixNano()), 1000)
	env.Must(err)
	defer func() { _ = consumer.Close() }()
	var received []rabbitmq.Delivery
	for len(received) < n {
		some, err := consumer.Take(ctx, n-len(received))
		if err != nil {
			env.Fatalf("receiving %d messages from %s, got %d: %v", n, queue, len(received), err)
		}
		received = append(received, some...)
		env.Must(consumer.Ack(some[len(some)-1]))
	}
	return received
}

// Depth is how many messages of a queue are ready.
func (env *Env) Depth(queue string) int {
	env.Helper()
	env.open()
	ready, _, err := env.session.Depth(queue)
	env.Must(err)
	return ready
}

// DeleteQueue deletes a queue with its messages and bindings.
func (env *Env) DeleteQueue(name string) {
	env.Helper()
	rabbitmqtest.DeleteQueue(env, env.Broker, name)
}

// open opens the test's own session, once.
func (env *Env) open() {
	env.Helper()
	if env.session != nil {
		return
	}
	session, err := rabbitmq.Open(env.Context(), env.Broker)
	env.Must(err)
	env.Cleanup(func() { _ = session.Close() })
	env.session = session
	env.publisher, err = session.Publisher(unconfirmed)
	env.Must(err)
}

// Session is the test's own session with the broker.
func (env *Env) Session() *rabbitmq.Session {
	env.Helper()
	env.open()
	return env.session
}

// For is the environment for a subtest: its failures end the subtest.
func (env *Env) For(t testing.TB) *Env {
	scoped, database := *env, *env.Env
	database.TB = t
	scoped.Env = &database
	return &scoped
}
