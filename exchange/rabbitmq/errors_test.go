package rabbitmq_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/rabbitmq/rabbitmqtest"
	"github.com/composerp/composerp/exchange/topology"
)

// closedPort is an address without a listener. A port that was free a moment ago may be another test's by now.
func closedPort(testing.TB) string { return "127.0.0.1:1" }

// hangsUp is the address of a server that closes every connection, and reports it in tried.
func hangsUp(t testing.TB, tried chan<- struct{}) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_ = connection.Close()
			select {
			case tried <- struct{}{}:
			default:
			}
		}
	}()
	return listener.Addr().String()
}

// silent is the address of a server that accepts and never writes.
func silent(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// banner is the address of a server of another protocol, which speaks first.
func banner(t testing.TB, greeting string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write([]byte(greeting))
		}
	}()
	return listener.Addr().String()
}

func TestOpenSaysWhatIsWrongInOneLine(t *testing.T) {
	t.Parallel()
	config := rabbitmqtest.Vhost(t)
	config.DialTimeout = localtest.Deadline(8 * time.Second) // a broker takes 3 to refuse a password
	web := banner(t, "SSH-2.0-OpenSSH_9.2\r\n")
	for _, c := range []struct {
		name   string
		change func(u *url.URL)
		want   error
		says   string
	}{
		{"nothing listens", func(u *url.URL) { u.Host = closedPort(t) }, rabbitmq.ErrUnreachable, "connection refused"},
		{"no such host", func(u *url.URL) { u.Host = "broker.invalid:5672" }, rabbitmq.ErrUnreachable, "broker.invalid"},
		{"hangs up", func(u *url.URL) { u.Host = hangsUp(t, nil) }, rabbitmq.ErrUnreachable, "start RabbitMQ"},
		{"another protocol", func(u *url.URL) { u.Host = web }, rabbitmq.ErrUnreachable, "correct host and port"},
		{"wrong password", func(u *url.URL) { u.User = url.UserPassword("guest", "s3cret") }, rabbitmq.ErrAccessRefused, "correct user and password"},
		{"no such vhost", func(u *url.URL) { u.Path = "/nowhere" }, rabbitmq.ErrVhostMissing, "create it"},
		{"not amqp", func(u *url.URL) { u.Scheme = "http"; u.User = url.UserPassword("guest", "s3cret") }, rabbitmq.ErrBadURL, "amqp://"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			changed := withURL(t, config, c.change)
			_, err := rabbitmq.Open(testContext(t), changed)
			checkLine(t, err, c.want, c.says)
			if err := rabbitmq.Apply(testContext(t), (topology.Topology{}), changed); !errors.Is(err, c.want) {
				t.Errorf("Apply gives %v", err)
			}
		})
	}
}

func checkLine(t *testing.T, err, want error, says string) {
	t.Helper()
	t.Log(err)
	switch {
	case !errors.Is(err, want):
		t.Errorf("got %v, want %v", err, want)
	case strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), says):
		t.Errorf("want one line with %q", says)
	case strings.Contains(err.Error(), "s3cret"):
		t.Error("the error tells the password")
	}
}

func TestASilentPeerIsUnreachableInTime(t *testing.T) {
	t.Parallel()
	config := rabbitmq.Config{URLs: []string{"amqp://guest:guest@" + silent(t) + "/"}, DialTimeout: 50 * time.Millisecond}
	_, err := rabbitmq.Open(testContext(t), config)
	checkLine(t, err, rabbitmq.ErrUnreachable, "no answer in 50ms")

	config.DialTimeout = time.Hour
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = rabbitmq.Open(ctx, config)
	checkLine(t, err, context.DeadlineExceeded, "connecting to amqp://guest@")
}

func TestEveryHostIsNamed(t *testing.T) {
	t.Parallel()
	one, two := closedPort(t), closedPort(t)
	_, err := rabbitmq.Open(testContext(t), rabbitmq.Config{URLs: []string{"amqp://" + one, "amqp://" + two}})
	checkLine(t, err, rabbitmq.ErrUnreachable, one)
	checkLine(t, err, rabbitmq.ErrUnreachable, two)
	_, err = rabbitmq.Open(testContext(t), rabbitmq.Config{})
	checkLine(t, err, rabbitmq.ErrBadURL, "no URL given")
}

func TestAPasswordIsPercentEncoded(t *testing.T) {
	t.Parallel()
	config := withLedger(t)
	const password = "p@ss:/?#[]%s3cret"
	user := rabbitmqtest.User(t, config, password)
	encoded := withURL(t, config, func(u *url.URL) { u.User = url.UserPassword(user, password) })
	open(t, encoded)

	plain := config
	plain.URLs = []string{"amqp://" + user + ":" + password + "@127.0.0.1:5672/"}
	_, err := rabbitmq.Open(testContext(t), plain)
	checkLine(t, err, rabbitmq.ErrBadURL, "percent-encode")

	// A user without access to the virtual host gets that error, and not that it is missing.
	other := rabbitmqtest.Vhost(t)
	barred := withURL(t, other, func(u *url.URL) { u.User = url.UserPassword(user, password) })
	_, err = rabbitmq.Open(testContext(t), barred)
	checkLine(t, err, rabbitmq.ErrAccessRefused, "permissions")
}
