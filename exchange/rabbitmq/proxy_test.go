package rabbitmq_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/composerp/composerp/exchange/rabbitmq"
)

// proxy stands between a session and the broker, to do what networks do: hold data, drop connections, and (as the
// broker would) inject frames.
type proxy struct {
	listener net.Listener
	target   string
	toBroker valve
	toClient valve
	failing  atomic.Int32 // the number of queue.declare still to be answered as a loaded broker does

	mu      sync.Mutex
	clients []net.Conn
	brokers []net.Conn
}

// throughProxy returns a configuration of the same virtual host through a proxy.
func throughProxy(t testing.TB, config rabbitmq.Config) (*proxy, rabbitmq.Config) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{listener: listener}
	config = withURL(t, config, func(u *url.URL) {
		p.target = u.Host
		u.Host = listener.Addr().String()
	})
	go p.accept()
	t.Cleanup(func() {
		_ = listener.Close()
		p.drop(allConnections(p)...)
		p.toBroker.release()
		p.toClient.release()
	})
	return p, config
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.clients, p.brokers = append(p.clients, client), append(p.brokers, broker)
		p.mu.Unlock()
		go carry(broker, client, &p.toBroker, func(frames []byte) bool { return p.fail(client, frames) })
		go carry(client, broker, &p.toClient, func([]byte) bool { return false })
	}
}

// fail ends the client's connection with 541 INTERNAL_ERROR in answer to a queue.declare.
func (p *proxy) fail(client net.Conn, frames []byte) bool {
	const queueDeclare = "\x00\x32\x00\x0a" // class 50, method 10
	if !bytes.Contains(frames, []byte(queueDeclare)) || p.failing.Add(-1) < 0 {
		return false
	}
	const reason = "INTERNAL_ERROR - Cannot declare quorum queue: cluster_not_formed"
	payload := append([]byte{0, 10, 0, 50, 541 >> 8, 541 & 0xff, byte(len(reason))}, reason...) // connection.close
	payload = append(payload, queueDeclare...)
	frame := append([]byte{1, 0, 0, 0, 0, 0, byte(len(payload))}, payload...)
	_, _ = client.Write(append(frame, 0xce))
	return true
}

func carry(to, from net.Conn, g *valve, swallow func([]byte) bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		g.pass()
		if n > 0 && !swallow(buffer[:n]) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// drop closes connections, by the order in which they were opened, without notice.
func (p *proxy) drop(which ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range which {
		_ = p.clients[n].Close()
		_ = p.brokers[n].Close()
	}
}

// hangUp closes the nth connection's direction to the client, and goes on not reading from it.
func (p *proxy) hangUp(t testing.TB, n int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	must(t, p.clients[n].(*net.TCPConn).CloseWrite())
}

func allConnections(p *proxy) []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]int, len(p.clients))
	for n := range all {
		all[n] = n
	}
	return all
}

// inject writes to the client of the nth connection, as if the broker had. The connection should be idle.
func (p *proxy) inject(t testing.TB, n int, frame []byte) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.clients[n].Write(frame)
	must(t, err)
}

// valve is open in its zero value.
type valve struct {
	mu   sync.Mutex
	held chan struct{}
}

func (g *valve) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		g.held = make(chan struct{})
	}
}

func (g *valve) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held != nil {
		close(g.held)
		g.held = nil
	}
}

func (g *valve) pass() {
	g.mu.Lock()
	held := g.held
	g.mu.Unlock()
	if held != nil {
		<-held
	}
}
