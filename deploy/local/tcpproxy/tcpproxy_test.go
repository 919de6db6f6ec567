package tcpproxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/tcpproxy"
)

// echo is a server that says back each line it hears, and its address.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func start(t *testing.T) *tcpproxy.Proxy {
	t.Helper()
	p, err := tcpproxy.Start(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// caller is one client's connection.
type caller struct {
	*testing.T
	conn  net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, p *tcpproxy.Proxy) caller {
	t.Helper()
	conn, err := net.Dial("tcp4", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return caller{t, conn, bufio.NewReader(conn)}
}

func (c caller) say(line string) {
	c.Helper()
	if _, err := fmt.Fprintln(c.conn, line); err != nil {
		c.Fatal(err)
	}
}

// hear waits for a line for as long as limit.
func (c caller) hear(limit time.Duration) (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(limit))
	line, err := c.lines.ReadString('\n')
	return line, err
}

func (c caller) want(line string) {
	c.Helper()
	if got, err := c.hear(10 * time.Second); err != nil || got != line+"\n" {
		c.Errorf("heard %q, %v, want %q", got, err, line)
	}
}

func (c caller) wantSilence() {
	c.Helper()
	if got, err := c.hear(50 * time.Millisecond); !os.IsTimeout(err) {
		c.Errorf("heard %q, %v, want silence", got, err)
	}
}

func (c caller) wantEnd() {
	c.Helper()
	if got, err := c.hear(10 * time.Second); err == nil || os.IsTimeout(err) {
		c.Errorf("heard %q, %v, want the end of the connection", got, err)
	}
}

func TestHolesHoldBack(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]tcpproxy.Direction{"to the server": tcpproxy.ToServer, "to the client": tcpproxy.ToClient, "both": tcpproxy.Both} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			c := dial(t, p)
			c.say("before")
			c.want("before")
			p.Hole(way)
			c.say("one")
			c.say("two")
			c.wantSilence()
			late := dial(t, p) // Is taken in, and fares the same.
			late.say("three")
			late.wantSilence()
			if p.Held() == 0 {
				t.Error("nothing was counted as held back")
			}
			p.Heal()
			c.want("one")
			c.want("two")
			late.want("three")
		})
	}
}

func TestCutsUntilHealed(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := dial(t, p)
	c.say("before")
	c.want("before")
	p.Drop()
	c.wantEnd()
	c = dial(t, p)
	c.say("a drop is over at once")
	c.want("a drop is over at once")
	p.Hole(tcpproxy.Both) // A cut ends also what a hole holds.
	c.say("lost")
	c.wantSilence()
	p.Cut()
	c.wantEnd()
	dial(t, p).wantEnd()
	p.Heal()
	c = dial(t, p)
	c.say("after")
	c.want("after")
	p.Close()
	c.wantEnd()
	if conn, err := net.Dial("tcp4", p.Addr()); err == nil {
		conn.Close()
		t.Error("a closed proxy takes connections")
	}
}

func TestSlowIsLateAndNarrow(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := dial(t, p)
	c.say("warm")
	c.want("warm")
	const delay = 20 * time.Millisecond
	p.Slow(delay)
	began := time.Now()
	c.say("there and back")
	c.want("there and back")
	if took := time.Since(began); took < 2*delay {
		t.Errorf("there and back took %v, want at least %v", took, 2*delay)
	}
	began = time.Now()
	go io.CopyN(c.conn, zeros{}, 128<<10)
	c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.CopyN(io.Discard, c.lines, 128<<10); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 8*delay {
		t.Errorf("128 KiB took %v, want at least %v", took, 8*delay)
	}
	p.Slow(time.Hour)
	c.say("stuck")
	c.wantSilence()
	p.Heal() // Also what waits already.
	c.want("stuck")
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestURL(t *testing.T) {
	t.Parallel()
	p, through, err := tcpproxy.StartURL("amqp://user:word@" + echo(t) + "/host?heartbeat=5")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if want := "amqp://user:word@" + p.Addr() + "/host?heartbeat=5"; through != want {
		t.Errorf("the URL is %s, want %s", through, want)
	}
	c := dial(t, p)
	c.say("through")
	c.want("through")
}
