package rabbitmq_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
)

func TestAConfirmedMessageIsInItsQueue(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	sent := sale(42)
	sent.Timestamp = time.Date(2011, 8, 31, 12, 30, 0, 0, time.UTC)
	must(t, publish(t, publisher(t, session, 1), sent).Wait(testContext(t)))

	c := consumer(t, session, ledgerQueue, 10)
	got := take(t, c, 1)[0]
	if got.LogSeq() != 42 || got.Attempt() != 0 || got.DeliveryCount != 0 || got.Redelivered || got.Queue != ledgerQueue {
		t.Errorf("the delivery is %+v", got)
	}
	got.Timestamp = got.Timestamp.UTC()
	if !reflect.DeepEqual(got.Message, sent) {
		t.Errorf("got %+v, want %+v", got.Message, sent)
	}
}

func TestAMessageWithoutARouteIsSaidToBeUnroutable(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	p := publisher(t, session, 256)
	astray := sale(0)
	astray.Exchange, astray.RoutingKey = topology.Retry, "composerp.none"
	home := sale(0)
	home.Exchange, home.RoutingKey = topology.Retry, ledgerQueue

	// Both kinds in flight at once, even under one id: each confirmation gets its own outcome.
	var unrouted, toLedger []*rabbitmq.Confirmation
	for range 500 {
		unrouted = append(unrouted, publish(t, p, astray))
		toLedger = append(toLedger, publish(t, p, home))
	}
	for i := range unrouted {
		if err := unrouted[i].Wait(testContext(t)); !errors.Is(err, rabbitmq.ErrUnroutable) || !strings.Contains(err.Error(), "composerp.none") {
			t.Fatalf("message %d without a route: %v", i, err)
		}
		if err := toLedger[i].Wait(testContext(t)); err != nil {
			t.Fatalf("message %d with a route: %v", i, err)
		}
	}
	if n := depth(t, session, ledgerQueue); n != 500 {
		t.Errorf("%d messages are in the queue, want 500", n)
	}
}

func TestAnEventWithoutABindingIsInUnrouted(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	m := sale(1)
	m.RoutingKey = "inventory.unheard_of"
	must(t, publish(t, publisher(t, session, 1), m).Wait(testContext(t)))
	if n := depth(t, session, topology.Unrouted); n != 1 {
		t.Errorf("%d messages in %s, want 1", n, topology.Unrouted)
	}
}

func TestTheWindowFillsWithoutAConfirmation(t *testing.T) {
	t.Parallel()
	direct := withLedger(t)
	broker, config := throughProxy(t, direct)
	session, witness := open(t, config), open(t, direct)
	const window = 300
	p := publisher(t, session, window)
	broker.toClient.hold()
	var confirmations []*rabbitmq.Confirmation
	for i := range window {
		confirmations = append(confirmations, publish(t, p, sale(i))) // would hang if one waited for another's confirmation
	}
	if n := p.InFlight(); n != window {
		t.Errorf("%d messages in flight, want %d", n, window)
	}
	eventually(t, "all of them are with the broker", func() bool { return depth(t, witness, ledgerQueue) == window })

	full, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Publish(full, sale(window)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("publishing into a full window gives %v", err)
	}
	if err := confirmations[0].Wait(full); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for a confirmation that does not come gives %v", err)
	}

	broker.toClient.release()
	for _, c := range confirmations {
		must(t, c.Wait(testContext(t)))
	}
	must(t, publish(t, p, sale(window)).Wait(testContext(t)))
	eventually(t, "an empty window", func() bool { return p.InFlight() == 0 })
}

func TestAMessageThatTheBrokerCannotTakeEndsNothing(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	p := publisher(t, session, 16)
	long := strings.Repeat("x", 256)
	for name, change := range map[string]func(m *rabbitmq.Message){
		"no id":             func(m *rabbitmq.Message) { m.ID = "" },
		"long id":           func(m *rabbitmq.Message) { m.ID = long },
		"long exchange":     func(m *rabbitmq.Message) { m.Exchange = long },
		"long routing key":  func(m *rabbitmq.Message) { m.RoutingKey = long },
		"long type":         func(m *rabbitmq.Message) { m.Type = long },
		"large body":        func(m *rabbitmq.Message) { m.Body = make([]byte, 1<<20+1) },
		"long header name":  func(m *rabbitmq.Message) { m.Headers = map[string]any{long: 1} },
		"large headers":     func(m *rabbitmq.Message) { m.Headers = map[string]any{"h": strings.Repeat(long, 300)} },
		"unknown data type": func(m *rabbitmq.Message) { m.Headers = map[string]any{"h": struct{}{}} },
	} {
		m := sale(1)
		change(&m)
		if _, err := p.Publish(testContext(t), m); !errors.Is(err, rabbitmq.ErrUnpublishable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := p.InFlight(); n != 0 {
		t.Errorf("%d messages in flight, want none", n)
	}
	largest := sale(2)
	largest.Body = make([]byte, 1<<20)
	largest.Headers = map[string]any{"h": strings.Repeat("x", 60<<10)}
	must(t, publish(t, p, largest).Wait(testContext(t)))
}

func TestAFullQueueRefusesItsMessage(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	channel := raw(t, config)
	_, err := channel.QueueDeclare("small", true, false, false, false, amqp.Table{
		"x-queue-type": "quorum", "x-max-length": int64(1), "x-overflow": "reject-publish"})
	must(t, err)
	counts := counted(t, &config)
	p := publisher(t, open(t, config), 1)
	m := sale(1)
	m.Exchange, m.RoutingKey = "", "small"
	eventually(t, "a refusal", func() bool { // a quorum queue lets a few pass before it knows that it is full
		err := publish(t, p, m).Wait(testContext(t))
		if err != nil && !errors.Is(err, rabbitmq.ErrNacked) {
			t.Fatal(err)
		}
		return err != nil
	})
	counts.want("nacked", 1)
}

func TestAMissingExchangeEndsTheSessionAndIsNamed(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	p := publisher(t, session, 16)
	m := sale(1)
	m.Exchange = "composerp.nowhere"
	err := publish(t, p, m).Wait(testContext(t))
	if !errors.Is(err, rabbitmq.ErrSessionLost) || !strings.Contains(err.Error(), "composerp.nowhere") {
		t.Errorf("the confirmation says: %v", err)
	}
	<-session.Done()
	if _, err := p.Publish(testContext(t), sale(2)); !errors.Is(err, rabbitmq.ErrSessionLost) {
		t.Errorf("publishing on a dead session gives %v", err)
	}
}

func TestAClosedPublisherEndsAlone(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	p := publisher(t, session, 16)
	must(t, publish(t, p, sale(1)).Wait(testContext(t)))
	must(t, p.Close())
	must(t, p.Close())
	if _, err := p.Publish(testContext(t), sale(2)); !errors.Is(err, rabbitmq.ErrSessionLost) {
		t.Errorf("publishing on a closed publisher gives %v", err)
	}
	must(t, publish(t, publisher(t, session, 16), sale(3)).Wait(testContext(t)))
}

func TestAnAlarmStopsPublishersAndNotConsumers(t *testing.T) {
	t.Parallel()
	broker, config := throughProxy(t, withLedger(t))
	session := open(t, config)
	p := publisher(t, session, 16)
	c := consumer(t, session, ledgerQueue, 10)
	must(t, publish(t, p, sale(1)).Wait(testContext(t)))

	// A real alarm would stop every test's broker, so the proxy sends connection.blocked itself, to the connection
	// opened first, which is the publishing one.
	const publishing = 0
	broker.inject(t, publishing, methodFrame(60, "\x0alow memory"))
	eventually(t, "the alarm is known", func() bool { reason, blocked := session.Blocked(); return blocked && reason == "low memory" })
	briefly, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Publish(briefly, sale(2)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("publishing during an alarm gives %v", err)
	}
	must(t, c.Ack(take(t, c, 1)[0]))

	published := make(chan error, 1)
	go func() {
		confirmation, err := p.Publish(testContext(t), sale(3))
		if err == nil {
			err = confirmation.Wait(testContext(t))
		}
		published <- err
	}()
	broker.inject(t, publishing, methodFrame(61, ""))
	must(t, <-published)
	if _, blocked := session.Blocked(); blocked {
		t.Error("the alarm is over, and the session does not know")
	}
}

// A confirm that never comes ends the session, so that the message is published again. An alarm does not.
func TestAConfirmThatNeverComesEndsTheSession(t *testing.T) {
	t.Parallel()
	broker, config := throughProxy(t, withLedger(t))
	config.ConfirmTimeout = localtest.Deadline(time.Second)
	config.Heartbeat = time.Minute // longer than the test holds them back on a slow machine
	session := open(t, config)
	p := publisher(t, session, 16)
	must(t, publish(t, p, sale(1)).Wait(testContext(t)))

	broker.toClient.hold()
	const publishing = 0
	broker.inject(t, publishing, methodFrame(60, "\x0alow memory"))
	eventually(t, "the alarm is known", func() bool { _, blocked := session.Blocked(); return blocked })
	alarmed := time.Now()
	late := make(chan error, 1)
	go func() {
		c, err := p.Publish(testContext(t), sale(2))
		if err == nil {
			err = c.Wait(testContext(t))
		}
		late <- err
	}()
	eventually(t, "its timeout would have passed", func() bool { return time.Since(alarmed) > 2*config.ConfirmTimeout })
	must(t, session.Err())
	broker.inject(t, publishing, methodFrame(61, ""))
	released := time.Now()
	if err := <-late; !errors.Is(err, rabbitmq.ErrSessionLost) || !strings.Contains(err.Error(), "neither confirms") {
		t.Errorf("a message without an answer: %v", err)
	}
	if took := time.Since(released); took < config.ConfirmTimeout/2 {
		t.Errorf("it was given up after %s", took)
	}
	broker.toClient.release()
}

// methodFrame is a frame of the connection class on channel 0.
func methodFrame(method byte, arguments string) []byte {
	payload := "\x00\x0a\x00" + string(method) + arguments
	return []byte("\x01\x00\x00\x00\x00\x00" + string(rune(len(payload))) + payload + "\xce")
}
