package rabbitmq_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

func TestARetryQueueReturnsTheMessage(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	p := publisher(t, session, 1)
	c := consumer(t, session, ledgerQueue, 10)
	must(t, publish(t, p, sale(7)).Wait(testContext(t)))
	var first rabbitmq.Failure
	for attempt := 1; attempt <= 3; attempt++ {
		d := take(t, c, 1)[0]
		must(t, publish(t, p, rabbitmq.RetryMessage(d, ledger, retryDelay, fmt.Errorf("no such item %d", attempt))).Wait(testContext(t)))
		must(t, c.AckOne(d))

		d = take(t, c, 1)[0]
		if d.Attempt() != attempt || d.ID != sale(7).ID || string(d.Body) != string(sale(7).Body) || d.Type != sale(7).Type || d.LogSeq() != 7 {
			t.Fatalf("attempt %d brings %+v", attempt, d)
		}
		f := d.Failure()
		if f.OriginalExchange != topology.Events || f.OriginalRoutingKey != saleKey || f.Worker != ledger ||
			f.FirstError != "no such item 1" || f.Error != fmt.Sprintf("no such item %d", attempt) {
			t.Errorf("attempt %d says %+v", attempt, f)
		}
		if attempt == 1 {
			first = f
		} else if !f.FirstFailedAt.Equal(first.FirstFailedAt) || !f.LastFailedAt.After(first.LastFailedAt) {
			t.Errorf("attempt %d says %+v, the first said %+v", attempt, f, first)
		}
		must(t, c.Requeue(d))
	}
}

func TestADeadLetterSaysWhy(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	p := publisher(t, session, 1)
	c := consumer(t, session, ledgerQueue, 10)
	must(t, publish(t, p, sale(7)).Wait(testContext(t)))
	d := take(t, c, 1)[0]
	must(t, publish(t, p, rabbitmq.DeadMessage(d, ledger, errors.New("the quantity is no number"))).Wait(testContext(t)))
	must(t, c.AckOne(d))
	for _, queue := range []string{topology.DeadQueueName(ledger), topology.DeadLetterLog} {
		dead := take(t, consumer(t, session, queue, 1), 1)[0]
		f := dead.Failure()
		if f.Error != "the quantity is no number" || f.Worker != ledger || f.Attempt != 1 || f.OriginalRoutingKey != saleKey || f.FirstFailedAt.IsZero() {
			t.Errorf("in %s it says %+v", queue, f)
		}
		if dead.ID != sale(7).ID || dead.LogSeq() != 7 || string(dead.Body) != string(sale(7).Body) {
			t.Errorf("in %s it is %+v", queue, dead)
		}
	}
}

func TestTheBrokersOwnDeadLettersAreUnderstood(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	session := open(t, config)
	publishSales(t, session, 1)
	channel := raw(t, config)
	deliveries, err := channel.Consume(ledgerQueue, "by hand", false, false, false, false, nil)
	must(t, err)
	must(t, (<-deliveries).Reject(false))

	dead := take(t, consumer(t, session, topology.DeadQueueName(ledger), 1), 1)[0]
	f := dead.Failure()
	if f.Worker != ledger || !strings.Contains(f.Error, "rejected") || f.OriginalExchange != topology.Events || f.OriginalRoutingKey != saleKey || f.LastFailedAt.IsZero() {
		t.Errorf("it says %+v", f)
	}
	again := rabbitmq.DeadMessage(dead, ledger, errors.New("still"))
	for name := range again.Headers {
		if name == "x-death" || strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-") {
			t.Errorf("its next copy carries %s", name)
		}
	}
}

// A message that expires in its worker's queue dies there: by its own TTL, or by a policy's.
func TestADeadLetterSaysWhatThePolicyDid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy     map[string]any
		expiration string
		want       string
	}{
		"its own TTL":    {nil, "20", "it expired there, by its own TTL of 20 ms (property expiration)"},
		"a policy's TTL": {map[string]any{"message-ttl": 20}, "", "it expired there, by a policy's message-ttl (composerp dlq show names the policy)"},
		"a policy's limit": {map[string]any{"max-length": 0, "overflow": "drop-head"}, "",
			"the queue was full and gave up its oldest, by a policy's max-length (composerp dlq show names the policy)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := withLedger(t)
			if c.policy != nil {
				rabbitmqtest.SetPolicy(t, config, "odd", "^"+regexp.QuoteMeta(ledgerQueue)+"$", c.policy)
			}
			began := time.Now().Truncate(time.Second)
			channel := raw(t, config)
			must(t, channel.PublishWithContext(testContext(t), topology.Events, saleKey, true, false,
				amqp.Publishing{Expiration: c.expiration, MessageId: "odd", DeliveryMode: amqp.Persistent}))
			dead := take(t, consumer(t, open(t, config), topology.DeadQueueName(ledger), 1), 1)[0]
			f := dead.Failure()
			if f.Worker != ledger || f.Error != "the broker dead-lettered it from "+ledgerQueue+": "+c.want || f.LastFailedAt.Before(began) || f.ByPolicy != (c.policy != nil) {
				t.Errorf("it says %+v", f)
			}
		})
	}
}

func TestAFailureIsReadBackAsWritten(t *testing.T) {
	t.Parallel()
	d := rabbitmq.Delivery{Message: sale(1)}
	d.Headers["x-death"] = []any{amqp.Table{"queue": "composerp.ledger.retry.5s", "reason": "expired"}}
	d.Headers["x-first-death-queue"] = "composerp.ledger.retry.5s"
	d.Headers["x-external"] = "kept"
	m := rabbitmq.RetryMessage(d, ledger, retryDelay, errors.New("why"))
	if m.Exchange != topology.Retry || m.RoutingKey != topology.RetryQueueName(ledger, retryDelay) || m.Headers["x-external"] != "kept" {
		t.Errorf("it goes on as %+v", m)
	}
	if m.Headers["x-death"] != nil || m.Headers["x-first-death-queue"] != nil {
		t.Errorf("it carries the broker's own headers: %v", m.Headers)
	}
	if _, touched := d.Headers[rabbitmq.HeaderAttempt]; touched {
		t.Error("the delivery's own headers were changed")
	}
	if f := (rabbitmq.Delivery{Message: m}).Failure(); f.Error != "why" || f.Attempt != 1 || f.Worker != ledger {
		t.Errorf("read back as %+v", f)
	}
}

// A message that waits for a dependency is as it was: nothing counts against it.
func TestAWaitIsNoFailure(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	p := publisher(t, session, 1)
	c := consumer(t, session, ledgerQueue, 10)
	must(t, publish(t, p, sale(7)).Wait(testContext(t)))
	for waits := int64(1); waits <= 2; waits++ {
		d := take(t, c, 1)[0]
		must(t, publish(t, p, rabbitmq.DeferMessage(d, ledger, retryDelay, "https://potter.example")).Wait(testContext(t)))
		must(t, c.AckOne(d))
		d = take(t, c, 1)[0]
		f := d.Failure()
		if d.Deferred() != waits || d.Headers[rabbitmq.HeaderWaitsFor] != "https://potter.example" || d.Attempt() != 0 || f.Error != "" || !f.FirstFailedAt.IsZero() {
			t.Errorf("wait %d brings %+v", waits, d.Headers)
		}
		if f.OriginalExchange != topology.Events || f.OriginalRoutingKey != saleKey || d.ID != sale(7).ID || d.LogSeq() != 7 {
			t.Errorf("wait %d brings %+v", waits, d)
		}
		must(t, c.Requeue(d))
	}
	d := take(t, c, 1)[0]
	d.Headers[rabbitmq.HeaderQuarantine] = "ledger-0123456789ab"
	m := rabbitmq.RetryMessage(d, ledger, retryDelay, errors.New("why"))
	if m.Headers[rabbitmq.HeaderWaitsFor] != nil || m.Headers[rabbitmq.HeaderQuarantine] != nil || m.Headers[rabbitmq.HeaderDeferred] != int64(2) {
		t.Errorf("it goes on as %+v", m.Headers)
	}
}

// A retried message of a version that kept only the last error keeps that one as the first known.
func TestTheFirstErrorThatIsKnown(t *testing.T) {
	t.Parallel()
	d := rabbitmq.Delivery{Message: sale(1)}
	d.Headers[rabbitmq.HeaderError], d.Headers[rabbitmq.HeaderAttempt] = "the second", int64(2)
	f := rabbitmq.Delivery{Message: rabbitmq.RetryMessage(d, ledger, retryDelay, errors.New("the third"))}.Failure()
	if f.FirstError != "the second" || f.Error != "the third" || f.Attempt != 3 {
		t.Errorf("read back as %+v", f)
	}
}

func TestAFailedMessageAlwaysFits(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	p := publisher(t, session, 1)
	d := rabbitmq.Delivery{Message: sale(1)}
	d.ID = ""
	d.Headers["x-external"] = strings.Repeat("x", 100<<10)
	m := rabbitmq.RetryMessage(d, ledger, retryDelay, errors.New(strings.Repeat("ß\xff", 2000)))
	if m.ID == "" || m.ID != rabbitmq.RetryMessage(d, ledger, retryDelay, nil).ID {
		t.Errorf("without an id it gets %q", m.ID)
	}
	if reason := m.Headers[rabbitmq.HeaderError].(string); len(reason) > 1000 || !utf8.ValidString(reason) {
		t.Errorf("the reason has %d bytes", len(reason))
	}
	if (rabbitmq.Delivery{Message: m}).LogSeq() != 1 {
		t.Error("its place in the log is lost")
	}
	must(t, publish(t, p, m).Wait(testContext(t)))
}

func TestHeadersOfAnyWidthAreRead(t *testing.T) {
	t.Parallel()
	for _, value := range []any{int64(5), int32(5), int16(5), int8(5), byte(5), uint16(5), uint32(5), 5} {
		d := rabbitmq.Delivery{Message: rabbitmq.Message{Headers: map[string]any{rabbitmq.HeaderAttempt: value}}}
		if d.Attempt() != 5 {
			t.Errorf("%T is read as %d", value, d.Attempt())
		}
	}
	for _, value := range []any{nil, "five", 5.5, true} {
		d := rabbitmq.Delivery{Message: rabbitmq.Message{Headers: map[string]any{rabbitmq.HeaderAttempt: value}}}
		if d.Attempt() != 0 {
			t.Errorf("%v is read as %d", value, d.Attempt())
		}
	}
}
