package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

// Without the pump behind the library's unbuffered channel allConnections batch here has one delivery, or now and then
// two.
func TestABacklogIsTakenInBigBatches(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	const backlog, batch = 4000, 200
	publishSales(t, session, backlog)

	c := consumer(t, session, ledgerQueue, 5*batch)
	batches, largest := 0, 0
	for taken := 0; taken < backlog; batches++ {
		depth(t, session, ledgerQueue) // a round trip to the broker stands for the work on a batch
		deliveries, err := c.Take(testContext(t), batch)
		must(t, err)
		for _, d := range deliveries {
			if want := sale(taken).ID; d.ID != want {
				t.Fatalf("delivery %d is %s, want %s", taken, d.ID, want)
			}
			taken++
		}
		largest = max(largest, len(deliveries))
		must(t, c.Ack(deliveries[len(deliveries)-1]))
	}
	if largest != batch || batches > backlog/50 {
		t.Errorf("%d messages came in %d batches, the largest of %d; want batches of %d", backlog, batches, largest, batch)
	}
	must(t, c.Close())
	if n := depth(t, session, ledgerQueue); n != 0 {
		t.Errorf("%d messages came back although all were acknowledged", n)
	}
}

func TestALoneMessageIsHandedOutAtOnce(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	p := publisher(t, session, 1)
	c := consumer(t, session, ledgerQueue, 1000)
	for i := range 5 {
		must(t, publish(t, p, sale(i)).Wait(testContext(t)))
		deliveries, err := c.Take(testContext(t), 200) // would hang if it waited for more
		must(t, err)
		if len(deliveries) != 1 || deliveries[0].ID != sale(i).ID {
			t.Fatalf("took %d deliveries", len(deliveries))
		}
	}
}

func TestTakeGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	c := consumer(t, session, ledgerQueue, 10)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Take(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Take gives %v", err)
	}
}

func TestPrefetchBoundsWhatIsInHand(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	publishSales(t, session, 10)
	c := consumer(t, session, ledgerQueue, 3)
	deliveries := take(t, c, 3)
	if n := depth(t, session, ledgerQueue); n != 7 {
		t.Errorf("%d messages are left in the queue, want 7", n)
	}
	must(t, c.AckOne(deliveries[1]))
	if next := take(t, c, 1)[0]; next.ID != sale(3).ID {
		t.Errorf("after one acknowledgement %s comes, want %s", next.ID, sale(3).ID)
	}
}

// A nack counts as a delivery until 4.3, and no more from then on.
func TestARequeuedMessageComesAgain(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	publishSales(t, session, 1)
	c := consumer(t, session, ledgerQueue, 3)
	must(t, c.Requeue(take(t, c, 1)[0]))
	again := take(t, c, 1)[0]
	overview, err := rabbitmqtest.Management(t).Overview(testContext(t))
	must(t, err)
	counted := int64(0)
	if overview.Before("4.3") {
		counted = 1
	}
	if !again.Redelivered || again.DeliveryCount != counted {
		t.Errorf("redelivered %t, delivery count %d", again.Redelivered, again.DeliveryCount)
	}
	if m := rabbitmq.RetryMessage(again, ledger, retryDelay, nil); m.Headers["x-delivery-count"] != nil {
		t.Error("its next copy carries the broker's count of this one")
	}
}

func TestADeletedQueueCancelsItsConsumerAndNoMore(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	session := open(t, config)
	c := consumer(t, session, ledgerQueue, 10)
	result := make(chan error, 1)
	go func() {
		_, err := c.Take(testContext(t), 10)
		result <- err
	}()
	must(t, rabbitmqtest.Management(t).DeleteQueue(testContext(t), rabbitmqtest.VhostOf(t, config), ledgerQueue))
	if err := <-result; !errors.Is(err, rabbitmq.ErrConsumerCancelled) || !strings.Contains(err.Error(), ledgerQueue) {
		t.Errorf("Take, waiting, gives %v", err)
	}
	if _, err := c.Take(testContext(t), 10); !errors.Is(err, rabbitmq.ErrConsumerCancelled) {
		t.Errorf("Take afterwards gives %v", err)
	}
	must(t, session.Err())
	must(t, c.Close())
	if _, err := session.Consume(ledgerQueue, "ledger.again", 10); !errors.Is(err, rabbitmq.ErrMissing) {
		t.Errorf("consuming from the deleted queue gives %v", err)
	}
	if _, _, err := session.Depth(ledgerQueue); !errors.Is(err, rabbitmq.ErrMissing) || !strings.Contains(err.Error(), ledgerQueue) {
		t.Errorf("asking its depth gives %v", err)
	}
	must(t, session.Err())
	consumer(t, session, topology.Unrouted, 10)
}

func TestACancelledConsumerIsDrained(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	publishSales(t, session, 10)
	c := consumer(t, session, ledgerQueue, 10)
	deliveries := take(t, c, 1)
	eventually(t, "everything is with the consumer", func() bool { return depth(t, session, ledgerQueue) == 0 })
	must(t, c.Cancel())
	must(t, c.Cancel())
	publishSales(t, session, 1)
	for {
		more, err := c.Take(testContext(t), 4)
		if errors.Is(err, rabbitmq.ErrDrained) {
			break
		}
		must(t, err)
		deliveries = append(deliveries, more...)
	}
	if len(deliveries) != 10 {
		t.Errorf("%d deliveries taken, want 10", len(deliveries))
	}
	must(t, c.Ack(deliveries[len(deliveries)-1]))
	must(t, c.Close())
	if n := depth(t, session, ledgerQueue); n != 1 {
		t.Errorf("%d messages in the queue, want the one that came after", n)
	}
}

// Consumers come and go, each cancelled while it takes and acknowledges and the publisher goes on: no message is sent
// to two of them, for none is on its way when the broker cancels.
func TestCancellingLosesNoDelivery(t *testing.T) {
	t.Parallel()
	const consumers, prefetch, batch = 15, 40, 7
	session := open(t, withLedger(t))
	publishSales(t, session, 2*consumers*prefetch)
	publishing, stop := context.WithCancel(testContext(t))
	published := make(chan error, 1)
	go func() { published <- publishUntil(publishing, session) }()
	again := 0
	for i := range consumers {
		c, err := session.Consume(ledgerQueue, fmt.Sprint("ledger.", i), prefetch)
		must(t, err)
		cancelled := make(chan error, 1)
		for n := 0; ; n++ {
			deliveries, err := c.Take(testContext(t), batch)
			if errors.Is(err, rabbitmq.ErrDrained) {
				break
			}
			must(t, err)
			if n == 2 {
				go func() { cancelled <- c.Cancel() }()
			}
			for _, d := range deliveries {
				if d.Redelivered || d.DeliveryCount > 0 {
					again++
				}
			}
			must(t, c.Ack(deliveries[len(deliveries)-1]))
		}
		must(t, <-cancelled)
		must(t, c.Close())
	}
	if again > 0 {
		t.Errorf("%d messages were sent again", again)
	}
	if depth(t, session, ledgerQueue) == 0 {
		t.Error("the queue was empty in the end: the broker had nothing to send")
	}
	stop()
	must(t, <-published)
}

// publishUntil publishes sales one by one until ctx is done.
func publishUntil(ctx context.Context, session *rabbitmq.Session) error {
	p, err := session.Publisher(64)
	for n := 0; err == nil && ctx.Err() == nil; n++ {
		var c *rabbitmq.Confirmation
		if c, err = p.Publish(ctx, sale(n)); err == nil {
			err = c.Wait(ctx)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// While Cancel waits for the broker an acknowledgement waits too, for it would have the broker send more.
func TestAcknowledgementsWaitForCancel(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(p *proxy){
		"the broker answers":  func(p *proxy) { p.toClient.release() },
		"the session is lost": func(p *proxy) { p.drop(allConnections(p)...); p.toClient.release() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := withLedger(t)
			publishSales(t, open(t, config), 5)
			p, config := throughProxy(t, config)
			session := open(t, config)
			c := consumer(t, session, ledgerQueue, 10)
			deliveries := take(t, c, 5)
			p.toClient.hold()
			cancelled, acked := make(chan error, 1), make(chan error, 1)
			go func() { cancelled <- c.Cancel() }()
			eventually(t, "Cancel waits", c.Settling)
			go func() { acked <- c.Ack(deliveries[4]) }()
			select {
			case err := <-acked:
				t.Errorf("while Cancel waits Ack gives %v", err)
				acked <- err
			case <-time.After(50 * time.Millisecond):
			}
			end(p)
			cancelErr, ackErr := <-cancelled, <-acked
			if name == "the broker answers" {
				must(t, cancelErr)
				must(t, ackErr)
				if _, err := c.Take(testContext(t), 1); !errors.Is(err, rabbitmq.ErrDrained) {
					t.Errorf("afterwards Take gives %v", err)
				}
				return
			}
			<-session.Done()
			_, err := c.Take(testContext(t), 1)
			if cancelErr == nil || !errors.Is(ackErr, rabbitmq.ErrSessionLost) || !errors.Is(err, rabbitmq.ErrSessionLost) {
				t.Errorf("Cancel gives %v, Ack %v, Take %v", cancelErr, ackErr, err)
			}
		})
	}
}

func TestAForeignDeliveryIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	session := open(t, withLedger(t))
	publishSales(t, session, 2)
	one := consumer(t, session, ledgerQueue, 1)
	theirs := take(t, one, 1)[0]
	other, err := session.Consume(ledgerQueue, "ledger.other", 1)
	must(t, err)
	take(t, other, 1) // it has the same tag on its channel: an acknowledgement of the wrong one would remove it
	for name, answer := range map[string]func(rabbitmq.Delivery) error{"Ack": other.Ack, "AckOne": other.AckOne, "Requeue": other.Requeue} {
		if err := answer(theirs); !errors.Is(err, rabbitmq.ErrForeignDelivery) {
			t.Errorf("%s gives %v", name, err)
		}
		if err := answer(rabbitmq.Delivery{}); !errors.Is(err, rabbitmq.ErrForeignDelivery) {
			t.Errorf("%s of a delivery made up gives %v", name, err)
		}
	}
	must(t, one.Close())
	must(t, other.Close())
	eventually(t, "both messages are in the queue again", func() bool { return depth(t, session, ledgerQueue) == 2 })
}
