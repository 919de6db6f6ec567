package proxy_test

import (
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"

	"github.com/composerp/composerp/deploy/chaos/proxy"
)

// echo is a proxy to a server that returns what it gets.
type echo struct {
	*testing.T
	*proxy.Proxy
	address string
	ended   chan error // of the server's connections
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	t.Parallel()
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	w := &echo{T: t, ended: make(chan error, 16)}
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				_, err := io.Copy(conn, conn)
				conn.Close()
				w.ended <- err
			}()
		}
	}()
	p, through, err := proxy.Before("amqp://user:secret@" + server.Addr().String() + "/vhost?heartbeat=5")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	u, err := url.Parse(through)
	if err != nil || u.User.String() != "user:secret" || u.Path != "/vhost" || u.RawQuery != "heartbeat=5" || u.Host == server.Addr().String() {
		t.Fatalf("the URL through the proxy is %s", through)
	}
	w.Proxy, w.address = p, u.Host
	return w
}

func (w *echo) dial() net.Conn {
	w.Helper()
	conn, err := net.Dial("tcp4", w.address)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	return conn
}

// receives gives what comes back in time, "" when nothing does.
func (w *echo) receives(conn net.Conn, within time.Duration) (string, error) {
	w.Helper()
	conn.SetReadDeadline(time.Now().Add(within))
	buffer := make([]byte, 100)
	n, err := conn.Read(buffer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return string(buffer[:n]), err
}

func (w *echo) echoes(conn net.Conn, word string) {
	w.Helper()
	if _, err := conn.Write([]byte(word)); err != nil {
		w.Fatal(err)
	}
	if got, err := w.receives(conn, 5*time.Second); got != word || err != nil {
		w.Fatalf("sent %q, got %q, %v", word, got, err)
	}
}

const moment = 50 * time.Millisecond

func TestWithoutFaults(t *testing.T) {
	w := newEcho(t)
	conn := w.dial()
	w.echoes(conn, "hello")
	if w.Connections() != 1 || w.Carried() != 5 {
		t.Errorf("%d connections, %d bytes", w.Connections(), w.Carried())
	}
	conn.Close()
	if err := <-w.ended; err != nil {
		t.Errorf("the server saw no orderly close but %v", err)
	}
}

func TestCut(t *testing.T) {
	w := newEcho(t)
	conn := w.dial()
	w.echoes(conn, "hello")
	w.Set(proxy.Weather{Refuse: true})
	w.Cut()
	if _, err := w.receives(conn, 5*time.Second); err == nil {
		t.Error("a connection survived the cut")
	}
	if conn, err := net.Dial("tcp4", w.address); err == nil { // or the reset came before the dial was over
		defer conn.Close()
		if _, err := w.receives(conn, 5*time.Second); err == nil {
			t.Error("a new connection got through")
		}
	}
	w.Set(proxy.Weather{})
	w.echoes(w.dial(), "again")
}

// Held bytes arrive in order and complete once nothing holds them.
func TestHold(t *testing.T) {
	for name, state := range map[string]proxy.Weather{
		"up": {HoldUp: true}, "down": {HoldDown: true}, "both ways": {HoldUp: true, HoldDown: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newEcho(t)
			conn := w.dial()
			w.echoes(conn, "before")
			w.Set(state)
			for _, word := range []string{"held ", "and ", "late"} {
				if _, err := conn.Write([]byte(word)); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := w.receives(conn, moment); got != "" || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			w.Set(proxy.Weather{})
			conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			whole := make([]byte, len("held and late"))
			if _, err := io.ReadFull(conn, whole); err != nil || string(whole) != "held and late" {
				t.Errorf("got %q, %v", whole, err)
			}
		})
	}
}

func TestHalfOpen(t *testing.T) {
	w := newEcho(t)
	conn := w.dial()
	w.echoes(conn, "hello")
	w.Set(proxy.Weather{HoldUp: true, HoldDown: true})
	w.Forsake()
	select {
	case <-w.ended:
	case <-time.After(localtest.Deadline(5 * time.Second)):
		t.Error("the server does not notice the end")
	}
	if got, err := w.receives(conn, moment); got != "" || err != nil {
		t.Fatalf("the client gets %q, %v", got, err)
	}
	w.Cut()
	w.Set(proxy.Weather{})
	if _, err := w.receives(conn, 5*time.Second); err == nil {
		t.Error("a forsaken connection is still open")
	}
}

func TestDelay(t *testing.T) {
	w := newEcho(t)
	conn := w.dial()
	w.Set(proxy.Weather{Delay: moment})
	began := time.Now()
	w.echoes(conn, "late")
	if took := time.Since(began); took < 2*moment {
		t.Errorf("there and back took %s", took)
	}
}

func TestAServerThatIsAway(t *testing.T) {
	t.Parallel()
	p, through, err := proxy.Before("tcp://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	u, _ := url.Parse(through)
	conn, err := net.Dial("tcp4", u.Host)
	if err != nil { // the reset came before the dial was over
		return
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client without a server gets %v", err)
	}
}
