package rabbitmq_test

import (
	"errors"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/delay"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
)

// deadLetter dead-letters d after its last retry, and returns it as it is in the queue.
func deadLetter(d rabbitmq.Delivery) rabbitmq.Delivery {
	for range 3 {
		d.Message = rabbitmq.RetryMessage(d, ledger, retryDelay, errors.New("no cup is left"))
	}
	d.Message = rabbitmq.DeadMessage(d, ledger, errors.New("no cup is left"))
	return d
}

func TestWhatIsRedrivenIsNewButForItsHistory(t *testing.T) {
	t.Parallel()
	d := rabbitmq.Delivery{Message: sale(7)}
	d.Exchange, d.RoutingKey = topology.Events, saleKey
	d.Headers["x-external"] = "kept"
	dead := deadLetter(d)
	if f := dead.Failure(); f.Attempt != 4 || dead.Attempt() != 0 {
		t.Errorf("the dead letter says %+v, and attempt %d", f, dead.Attempt())
	}
	dead.Headers[rabbitmq.HeaderQuarantine] = "class"
	buried := delay.Since(time.Now().Add(-time.Hour))
	dead.Headers[delay.Header] = buried.String()
	m := rabbitmq.RedriveMessage(dead, ledger)
	again := rabbitmq.Delivery{Message: m}
	if m.Exchange != topology.Retry || m.RoutingKey != ledgerQueue || m.ID != d.ID || m.Type != d.Type || string(m.Body) != string(d.Body) {
		t.Errorf("it goes back as %+v", m)
	}
	for _, gone := range []string{rabbitmq.HeaderAttempt, rabbitmq.HeaderError, rabbitmq.HeaderWorker, rabbitmq.HeaderDead, rabbitmq.HeaderQuarantine} {
		if value, there := m.Headers[gone]; there {
			t.Errorf("it still has %s: %v", gone, value)
		}
	}
	f := again.Failure()
	times, at := again.Redriven()
	if times != 1 || at.IsZero() || m.Headers[rabbitmq.HeaderDiedOf] != "no cup is left" || !f.FirstFailedAt.Equal(dead.Failure().FirstFailedAt) ||
		f.OriginalExchange != topology.Events || f.OriginalRoutingKey != saleKey || again.LogSeq() != 7 || m.Headers["x-external"] != "kept" {
		t.Errorf("its history is %v", m.Headers)
	}
	if spent, _ := delay.Parse(m.Headers[delay.Header]); spent.In(delay.DeadLetter) < time.Hour || spent.Total() != spent.In(delay.DeadLetter) {
		t.Errorf("want an hour among the dead letters, got %s", spent)
	}
	if dead.Headers[rabbitmq.HeaderAttempt] == nil {
		t.Error("the dead letter's own headers were changed")
	}
	if times, _ := (rabbitmq.Delivery{Message: rabbitmq.RedriveMessage(deadLetter(again), ledger)}).Redriven(); times != 2 {
		t.Errorf("the second time it came back %d times", times)
	}
}

// Shovel's move leaves all headers as they are.
func TestAMessageMovedByHandBeginsAtAttemptZero(t *testing.T) {
	t.Parallel()
	for name, dead := range map[string]rabbitmq.Delivery{
		"our own": deadLetter(rabbitmq.Delivery{Message: sale(7)}),
		"the broker's": {Message: rabbitmq.Message{ID: "x", Headers: map[string]any{
			rabbitmq.HeaderAttempt: int64(3), "x-death": []any{amqp.Table{"queue": ledgerQueue, "reason": "delivery_limit"}, amqp.Table{"reason": "expired"}},
		}}},
	} {
		moved := dead
		moved.Exchange, moved.RoutingKey = "", ledgerQueue
		if moved.Attempt() != 0 {
			t.Errorf("%s: it comes as attempt %d", name, moved.Attempt())
		}
		up := rabbitmq.Delivery{Message: rabbitmq.RetryMessage(moved, ledger, retryDelay, errors.New("why"))}
		if f := up.Failure(); up.Attempt() != 1 || f.Error != "why" || up.Headers[rabbitmq.HeaderDead] != nil || up.Headers[rabbitmq.HeaderDiedOf] == "" {
			t.Errorf("%s: it is retried as %v", name, up.Headers)
		}
		if times, _ := up.Redriven(); times != 1 {
			t.Errorf("%s: it came back %d times", name, times)
		}
		if f := deadLetter(up).Failure(); f.Attempt != 5 {
			t.Errorf("%s: then it dies at attempt %d", name, f.Attempt)
		}
	}
}

func TestAMessageFromARetryQueueIsNotRedriven(t *testing.T) {
	t.Parallel()
	d := rabbitmq.Delivery{Message: rabbitmq.RetryMessage(rabbitmq.Delivery{Message: sale(7)}, ledger, retryDelay, errors.New("why"))}
	d.Headers["x-death"] = []any{amqp.Table{"queue": topology.RetryQueueName(ledger, retryDelay), "reason": "expired"}}
	if d.Attempt() != 1 {
		t.Errorf("it comes as attempt %d", d.Attempt())
	}
}

// A message browsed in another queue brings that queue's count along.
func TestTheCountOfAnotherQueueIsNotHeeded(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	m := sale(7)
	m.Headers["x-delivery-count"] = int64(9)
	must(t, publish(t, publisher(t, session, 1), m).Wait(testContext(t)))
	c := consumer(t, session, ledgerQueue, 1)
	d := take(t, c, 1)[0]
	if d.DeliveryCount != 0 {
		t.Errorf("the first time it comes with a count of %d", d.DeliveryCount)
	}
	must(t, c.Requeue(d))
	if d = take(t, c, 1)[0]; d.DeliveryCount > 1 {
		t.Errorf("the second time it comes with a count of %d", d.DeliveryCount)
	}
}

// A message that no queue was bound for is late because it was published again.
func TestWhatIsReroutedSaysHowLongItLay(t *testing.T) {
	t.Parallel()
	d := rabbitmq.Delivery{Message: sale(7)}
	since := delay.Since(time.Now().Add(-time.Hour))
	d.Headers[delay.Header] = since.String()
	spent, _ := delay.Parse(rabbitmq.RerouteMessage(d).Headers[delay.Header])
	if spent.In(delay.Republish) < time.Hour || spent.Total() != spent.In(delay.Republish) {
		t.Errorf("want an hour until it was published again, got %s", spent)
	}
	if d.Headers[delay.Header] != since.String() {
		t.Error("the message's own header was changed")
	}
}
