// Package tcpproxy stands between a client and a server and does what networks do: it cuts connections, lets nothing through in one
// direction or in both, slows down, and heals. It is for tests and for trying out faults on private servers; it listens on loopback only.
//
// What holds: bytes arrive in order, each once, or the connection is cut. A hole holds what is sent into it back, as TCP's retransmissions
// do, and after Heal it arrives; so does the end of a connection. A new connection is taken in at any time, because the kernel answers it,
// and fares as its packets would.
package tcpproxy

import (
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"
)

// Direction is a set of ways through the proxy.
type Direction uint8

const (
	ToServer Direction = 1 << iota
	ToClient
	Both = ToServer | ToClient
)

// piece is how much a slow proxy lets through at once.
const piece = 16 << 10

// Proxy is a way to one server. All its methods may be called from any goroutine.
type Proxy struct {
	target   string
	listener net.Listener

	mu      sync.Mutex
	links   map[*link]struct{}
	closed  bool
	cut     bool
	holes   Direction
	delay   time.Duration
	held    int64
	changed chan struct{} // closed at each change of what the proxy does
}

// link is one client's connection and the one to the server that goes with it.
type link struct {
	client, server net.Conn
	once           sync.Once
	gone           chan struct{}
}

func (l *link) end() {
	l.once.Do(func() {
		close(l.gone)
		_, _ = l.client.Close(), l.server.Close()
	})
}

// Start opens a way to a server at host:port on a port of its own.
func Start(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a proxy to %s: %w", target, err)
	}
	p := &Proxy{target: target, listener: listener, links: map[*link]struct{}{}, changed: make(chan struct{})}
	go p.accept()
	return p, nil
}

// StartURL opens a way to the server of a URL, and returns the URL that leads through it.
func StartURL(serverURL string) (*Proxy, string, error) {
	u, err := url.Parse(serverURL)
	if err != nil {
		return nil, "", fmt.Errorf("opening a proxy: %w", err)
	}
	p, err := Start(u.Host)
	if err != nil {
		return nil, "", err
	}
	u.Host = p.Addr()
	return p, u.String(), nil
}

// Addr is where the proxy listens, as host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Drop ends the connections that are through. New ones are let through.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.end()
	}
}

// Cut ends the connections that are through, and every new one at once, until Heal.
func (p *Proxy) Cut() {
	p.change(func() { p.cut = true })
	p.Drop()
}

// Hole lets nothing more through in these directions, and says so to nobody, until Heal. Those not named are open again.
func (p *Proxy) Hole(into Direction) { p.change(func() { p.holes = into }) }

// Slow makes everything later by delay, each way, and lets at most 16 KiB through in that time, until Heal.
func (p *Proxy) Slow(delay time.Duration) { p.change(func() { p.delay = delay }) }

// Heal ends whatever is done to the network. What was held back arrives.
func (p *Proxy) Heal() { p.change(func() { p.cut, p.holes, p.delay = false, 0, 0 }) }

// Held counts the bytes that were held back by a hole, since the start.
func (p *Proxy) Held() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Close ends all connections and the proxy.
func (p *Proxy) Close() {
	p.change(func() { p.closed = true })
	_ = p.listener.Close()
	p.Drop()
}

func (p *Proxy) change(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.connect(client)
	}
}

func (p *Proxy) connect(client net.Conn) {
	server, err := net.Dial("tcp4", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server, gone: make(chan struct{})}
	p.mu.Lock()
	if p.cut || p.closed {
		p.mu.Unlock()
		l.end()
		return
	}
	p.links[l] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.carry(l, server, client, ToServer) })
	both.Go(func() { p.carry(l, client, server, ToClient) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// carry passes on what one side says, until that side ends or the link does. The end passes the proxy as bytes do.
func (p *Proxy) carry(l *link, to, from net.Conn, way Direction) {
	defer l.end()
	buffer := make([]byte, piece)
	for {
		n, err := from.Read(buffer)
		if !p.pass(l, way, n) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until n bytes may go on in a direction; false when the link ended meanwhile.
func (p *Proxy) pass(l *link, way Direction, n int) bool {
	for counted := false; ; {
		p.mu.Lock()
		holed, delay, changed := p.holes&way != 0, p.delay, p.changed
		if holed && !counted {
			p.held, counted = p.held+int64(n), true
		}
		p.mu.Unlock()
		var later <-chan time.Time
		switch {
		case holed:
		case delay == 0:
			return true
		default:
			later = time.After(delay)
		}
		select {
		case <-later:
			return true
		case <-changed:
		case <-l.gone:
			return false
		}
	}
}
