package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
)

// closable is a configuration with a user of its own, and a function that has the broker close all connections of that
// user, as an operator would.
func closable(t testing.TB, config rabbitmq.Config) (rabbitmq.Config, func() error) {
	t.Helper()
	user := rabbitmqtest.User(t, config, "secret")
	management := rabbitmqtest.Management(t)
	config = withURL(t, config, func(u *url.URL) { u.User = url.UserPassword(user, "secret") })
	return config, func() (err error) {
		localtest.Await(20*time.Second, func() bool {
			err = management.CloseConnectionsOf(context.Background(), user, "closed by a test")
			return err == nil
		})
		return err
	}
}

func TestConnectionsSayWhoTheyAre(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	config.Name, config.Version = "ledger", "v1.2.3"
	open(t, config)
	eventually(t, "both connections show", func() bool {
		connections := rabbitmqtest.Connections(t, config)
		roles := map[string]bool{}
		for _, c := range connections {
			want := fmt.Sprintf("#%d %s", os.Getpid(), c.Properties.Role)
			if !strings.HasPrefix(c.Properties.ClientName, "composerp/ledger@") || !strings.HasSuffix(c.Properties.ClientName, want) ||
				c.Properties.Product != "Composerp" || c.Properties.Version != "v1.2.3" {
				t.Fatalf("a connection says of itself: %+v", c.Properties)
			}
			roles[c.Properties.Role] = true
		}
		return roles["publishing"] && roles["consuming"] && len(connections) == 2
	})
}

// The main promise: confirmed messages are there after a forced close, unconfirmed ones are reported, and KeepConnected
// reconnects.
func TestAForcedCloseInTheMiddleOfPublishingLosesNothingThatWasConfirmed(t *testing.T) {
	t.Parallel()
	config, closeConnections := closable(t, withLedger(t))
	confirmed := map[string]bool{}
	doubtful, sessions := 0, 0
	closing := make(chan error, 1)
	err := rabbitmq.KeepConnected(testContext(t), config, func(ctx context.Context, s *rabbitmq.Session) error {
		if sessions++; sessions > 1 {
			return nil
		}
		p := publisher(t, s, 256)
		var confirmations []*rabbitmq.Confirmation
		for {
			c, err := p.Publish(ctx, sale(len(confirmations)))
			if err != nil {
				if !errors.Is(err, rabbitmq.ErrSessionLost) && !errors.Is(err, context.Canceled) {
					t.Errorf("publishing gives %v", err)
				}
				break
			}
			if confirmations = append(confirmations, c); len(confirmations) == 2000 {
				go func() { closing <- closeConnections() }()
			}
		}
		for i, c := range confirmations {
			switch err := c.Wait(context.Background()); {
			case err == nil:
				confirmed[sale(i).ID] = true
			case errors.Is(err, rabbitmq.ErrSessionLost) && strings.Contains(err.Error(), "closed by a test"):
				doubtful++
			default:
				t.Errorf("confirmation %d: %v", i, err)
			}
		}
		return s.Err()
	})
	must(t, err)
	must(t, <-closing)
	if sessions != 2 {
		t.Fatalf("%d sessions, want 2", sessions)
	}
	session := open(t, config)
	c := consumer(t, session, ledgerQueue, 1000)
	there := map[string]bool{}
	for left := depth(t, session, ledgerQueue); left > 0 || len(there) == 0; left = depth(t, session, ledgerQueue) {
		deliveries, err := c.Take(testContext(t), 1000)
		must(t, err)
		for _, d := range deliveries {
			there[d.ID] = true
		}
		must(t, c.Ack(deliveries[len(deliveries)-1]))
	}
	must(t, c.Cancel())
	for {
		deliveries, err := c.Take(testContext(t), 1000)
		if errors.Is(err, rabbitmq.ErrDrained) {
			break
		}
		must(t, err)
		for _, d := range deliveries {
			there[d.ID] = true
		}
	}
	for id := range confirmed {
		if !there[id] {
			t.Errorf("%s was confirmed and is not in the queue", id)
		}
	}
	t.Logf("%d confirmed, %d in doubt, %d arrived", len(confirmed), doubtful, len(there))
}

func TestWhatIsInFlightWhenTheNetworkGoesIsInDoubt(t *testing.T) {
	t.Parallel()
	broker, config := throughProxy(t, withLedger(t))
	session := open(t, config)
	p := publisher(t, session, 64)
	broker.toClient.hold()
	var confirmations []*rabbitmq.Confirmation
	for i := range 64 {
		confirmations = append(confirmations, publish(t, p, sale(i)))
	}
	waiting := make(chan error, 1)
	go func() { // for a slot in the window
		_, err := p.Publish(testContext(t), sale(64))
		waiting <- err
	}()
	broker.drop(0, 1)
	for i, c := range confirmations {
		if err := c.Wait(testContext(t)); !errors.Is(err, rabbitmq.ErrSessionLost) {
			t.Errorf("confirmation %d says %v", i, err)
		}
	}
	if err := <-waiting; !errors.Is(err, rabbitmq.ErrSessionLost) {
		t.Errorf("the publisher that waited is told %v", err)
	}
	<-session.Done()
	if err := session.Err(); !errors.Is(err, rabbitmq.ErrSessionLost) {
		t.Errorf("the session's error is %v", err)
	}
	if _, err := p.Publish(context.Background(), sale(65)); !errors.Is(err, rabbitmq.ErrSessionLost) {
		t.Errorf("publishing afterwards gives %v", err)
	}
}

// Tags begin anew with each session: an acknowledgement from before must not remove what another session has taken.
func TestAnAcknowledgementFromALostSessionRemovesNothing(t *testing.T) {
	t.Parallel()
	plain := withLedger(t)
	publishSales(t, open(t, plain), 10)
	config, closeConnections := closable(t, plain)
	var old *rabbitmq.Consumer
	var held []rabbitmq.Delivery
	sessions := 0
	err := rabbitmq.KeepConnected(testContext(t), config, func(ctx context.Context, s *rabbitmq.Session) error {
		sessions++
		c, err := s.Consume(ledgerQueue, fmt.Sprintf("ledger.node.0.%d", sessions), 10)
		if err != nil {
			return err
		}
		deliveries := take(t, c, 10)
		if sessions == 1 {
			old, held = c, deliveries
			must(t, closeConnections())
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, rabbitmq.ErrSessionLost) {
				t.Errorf("the context ended by %v", cause)
			}
			_, err := c.Take(context.Background(), 10)
			return err
		}
		if err := old.Ack(held[9]); !errors.Is(err, rabbitmq.ErrSessionLost) {
			t.Errorf("an acknowledgement on the lost session gives %v", err)
		}
		if err := c.Ack(held[9]); !errors.Is(err, rabbitmq.ErrForeignDelivery) {
			t.Errorf("an acknowledgement of an old delivery on the new session gives %v", err)
		}
		for i, d := range deliveries {
			if !d.Redelivered || d.DeliveryCount != 1 || d.ID != held[i].ID {
				t.Errorf("delivery %d is %s, redelivered %t, count %d", i, d.ID, d.Redelivered, d.DeliveryCount)
			}
		}
		return c.Close()
	})
	must(t, err)
	session := open(t, config)
	eventually(t, "all ten are in the queue", func() bool { return depth(t, session, ledgerQueue) == 10 })
}

func TestOneConnectionTakesTheOtherAlong(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	for n, name := range []string{"publishing", "consuming"} {
		broker, through := throughProxy(t, config)
		session := open(t, through)
		p, c := publisher(t, session, 1), consumer(t, session, ledgerQueue, 10)
		broker.drop(n)
		if _, err := c.Take(testContext(t), 1); !errors.Is(err, rabbitmq.ErrSessionLost) {
			t.Errorf("without the %s connection the consumer is told %v", name, err)
		}
		if _, err := p.Publish(testContext(t), sale(1)); !errors.Is(err, rabbitmq.ErrSessionLost) {
			t.Errorf("without the %s connection the publisher is told %v", name, err)
		}
		must(t, session.Close())
	}
	session := open(t, config)
	eventually(t, "no consumer is left", func() bool {
		_, consumers, err := session.Depth(ledgerQueue)
		must(t, err)
		return consumers == 0
	})
}

// hangingWriter publishes until a write hangs, and gives where that call's error will be.
func hangingWriter(p *rabbitmq.Publisher) <-chan error {
	ended := make(chan error, 1)
	published := make(chan struct{}, 1024)
	large := sale(1)
	large.Body = make([]byte, 1<<20)
	go func() {
		for {
			if _, err := p.Publish(context.Background(), large); err != nil {
				ended <- err
				return
			}
			published <- struct{}{}
		}
	}()
	for {
		select {
		case <-published:
		case <-time.After(200 * time.Millisecond):
			return ended
		}
	}
}

// The library notices that the peer is gone, and then waits for the lock that the hanging write holds.
func TestAHangingWriterIsFreedWhenThePeerIsGone(t *testing.T) {
	t.Parallel()
	broker, config := throughProxy(t, withLedger(t))
	config.Heartbeat, config.CloseTimeout = time.Hour, time.Hour // neither may be what frees it
	session := open(t, config)
	p := publisher(t, session, 1024)
	broker.toBroker.hold()
	hung := hangingWriter(p)
	broker.hangUp(t, 0)
	select {
	case err := <-hung:
		if !errors.Is(err, rabbitmq.ErrSessionLost) {
			t.Errorf("the publisher that hung is told %v", err)
		}
	case <-time.After(localtest.Deadline(10 * time.Second)):
		t.Error(localtest.Late(10*time.Second, "the publisher hangs no more"))
	}
	broker.drop(1) // it cannot answer a close
	must(t, session.Close())
}

// During an alarm writes hang and the broker's heartbeats arrive: the session and its consumers must live.
func TestAHangingWriterDoesNotEndASessionWithHeartbeats(t *testing.T) {
	t.Parallel()
	broker, config := throughProxy(t, withLedger(t))
	config.Heartbeat, config.CloseTimeout, config.ConfirmTimeout = localtest.Deadline(time.Second), 100*time.Millisecond, time.Hour
	session := open(t, config)
	p := publisher(t, session, 1024)
	broker.toBroker.hold()
	hangingWriter(p)
	broker.toClient.hold() // the broker itself gets nothing and would close the connection
	enough := time.After(4 * time.Second)
	for beat := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-beat.C:
			const heartbeat = "\x08\x00\x00\x00\x00\x00\x00\xce"
			broker.inject(t, 0, []byte(heartbeat))
			broker.inject(t, 1, []byte(heartbeat))
		case <-session.Done():
			t.Fatal(session.Err())
		case <-enough:
			return
		}
	}
}

// A silent peer holds writes, and with them the library's locks.
func TestCloseIsBoundedWhateverHangs(t *testing.T) {
	t.Parallel()
	broker, config := throughProxy(t, withLedger(t))
	config.CloseTimeout = 100 * time.Millisecond
	session := open(t, config)
	p := publisher(t, session, 1024)
	c := consumer(t, session, ledgerQueue, 10)
	broker.toClient.hold()
	broker.toBroker.hold()
	hung := hangingWriter(p)
	closed := make(chan struct{})
	go func() { _ = session.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(localtest.Deadline(10 * time.Second)):
		t.Fatal("Close hangs")
	}
	if err := <-hung; !errors.Is(err, rabbitmq.ErrSessionLost) {
		t.Errorf("the publisher that hung is told %v", err)
	}
	if _, err := c.Take(testContext(t), 1); !errors.Is(err, rabbitmq.ErrSessionLost) {
		t.Errorf("the consumer is told %v", err)
	}
	must(t, session.Close())
}
