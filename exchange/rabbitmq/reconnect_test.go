package rabbitmq_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
)

func TestKeepConnectedGoesToTheNextHost(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	dead := withURL(t, config, func(u *url.URL) { u.Host = closedPort(t) })
	config.URLs = append(dead.URLs, config.URLs...)
	runs := 0
	must(t, rabbitmq.KeepConnected(testContext(t), config, func(context.Context, *rabbitmq.Session) error {
		runs++
		return nil
	}))
	if runs != 1 {
		t.Errorf("%d runs", runs)
	}
	open(t, config)
}

func TestKeepConnectedBeginsAgainAfterAnError(t *testing.T) {
	t.Parallel()
	var sessions []*rabbitmq.Session
	must(t, rabbitmq.KeepConnected(testContext(t), withLedger(t), func(_ context.Context, s *rabbitmq.Session) error {
		if sessions = append(sessions, s); len(sessions) < 3 {
			return errors.New("something is wrong")
		}
		return nil
	}))
	if len(sessions) != 3 || sessions[0] == sessions[1] {
		t.Fatalf("%d sessions", len(sessions))
	}
	for i, s := range sessions {
		if s.Err() == nil {
			t.Errorf("session %d is still open", i)
		}
	}
}

// At the end, deliveries in hand are finished: the session outlives the context.
func TestKeepConnectedLetsRunFinish(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	publishSales(t, open(t, config), 1)
	ctx, stop := context.WithCancel(testContext(t))
	must(t, rabbitmq.KeepConnected(ctx, config, func(ctx context.Context, s *rabbitmq.Session) error {
		c := consumer(t, s, ledgerQueue, 10)
		d := take(t, c, 1)[0]
		stop()
		<-ctx.Done()
		must(t, c.Cancel())
		must(t, c.Ack(d))
		must(t, s.Err())
		return ctx.Err()
	}))
	if n := depth(t, open(t, config), ledgerQueue); n != 0 {
		t.Errorf("%d messages left, want none", n)
	}
}

func TestKeepConnectedReportsErrorsAtTheEnd(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(testContext(t))
	wrong := errors.New("the last batch is not committed")
	err := rabbitmq.KeepConnected(ctx, withLedger(t), func(context.Context, *rabbitmq.Session) error {
		stop()
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Errorf("KeepConnected returned %v", err)
	}
}

func TestKeepConnectedWaitsForABrokerAndNotForAPassword(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	never := func(context.Context, *rabbitmq.Session) error { t.Error("there is no session"); return nil }

	wrong := withURL(t, config, func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "wrong") })
	if err := rabbitmq.KeepConnected(testContext(t), wrong, never); !errors.Is(err, rabbitmq.ErrAccessRefused) {
		t.Errorf("with a wrong password KeepConnected returned %v", err)
	}

	ctx, stop := context.WithCancel(testContext(t))
	tried := make(chan struct{}, 100)
	unreachable := withURL(t, config, func(u *url.URL) { u.Host = hangsUp(t, tried) })
	ended := make(chan error, 1)
	go func() { ended <- rabbitmq.KeepConnected(ctx, unreachable, never) }()
	for range 3 {
		<-tried
	}
	stop()
	must(t, <-ended)
}

// A broker that ends while a client begins its first session closes the socket in the middle of the handshake. The
// library calls that a wrong password; the next attempt finds the broker again.
func TestASocketThatIsClosedInTheHandshakeIsNoWrongPassword(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	broker, err := url.Parse(config.URLs[0])
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for attempt := 0; ; attempt++ {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", broker.Host)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(client, server); client.Close() }()
			go func() {
				defer server.Close()
				_, _ = io.CopyN(server, client, int64(len("AMQP0091")))
				if attempt == 0 {
					_, _ = client.Read(make([]byte, 1)) // what the client answers to the broker's start
					client.Close()
					return
				}
				_, _ = io.Copy(server, client)
			}()
		}
	}()
	through := *broker
	through.Host = listener.Addr().String()
	config.URLs = []string{through.String()}
	sessions := 0
	must(t, rabbitmq.KeepConnected(testContext(t), config, func(context.Context, *rabbitmq.Session) error { sessions++; return nil }))
	if sessions != 1 {
		t.Errorf("%d sessions began", sessions)
	}
}
