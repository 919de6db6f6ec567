package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

func TestDeleteIdle(t *testing.T) {
	t.Parallel()
	broker := rabbitmqtest.Vhost(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(rabbitmq.Apply(t.Context(), topology.Compute(nil), broker))
	session, err := rabbitmq.Open(t.Context(), broker)
	check(err)
	t.Cleanup(func() { _ = session.Close() })
	publisher, err := session.Publisher(1)
	check(err)
	confirmation, err := publisher.Publish(t.Context(), rabbitmq.Message{Exchange: topology.Dead, RoutingKey: "x", ID: "1"})
	check(err)
	check(confirmation.Wait(t.Context()))
	want := func(what string, wanted bool) {
		t.Helper()
		if deleted, err := session.DeleteIdle(topology.DeadLetterLog); err != nil || deleted != wanted {
			t.Fatalf("%s: deleted is %t, %v", what, deleted, err)
		}
	}
	want("with a message", false)
	consumer, err := session.Consume(topology.DeadLetterLog, "one", 1)
	check(err)
	ctx, cancel := context.WithTimeout(t.Context(), localtest.Deadline(time.Minute))
	defer cancel()
	taken, err := consumer.Take(ctx, 1)
	check(err)
	check(consumer.Ack(taken[0]))
	want("with a consumer", false)
	check(consumer.Close())
	// The queue learns of both a moment later.
	localtest.Eventually(t, time.Minute, "an idle queue is deleted", func() bool {
		deleted, err := session.DeleteIdle(topology.DeadLetterLog)
		check(err)
		return deleted
	})
	want("once more", true)
	if session.Err() != nil {
		t.Errorf("the session has ended: %v", session.Err())
	}
}
