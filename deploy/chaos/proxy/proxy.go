// Package proxy simulates a network that fails: a TCP proxy, on loopback unless told otherwise, between clients and one
// server, that delays, holds, refuses and resets connections. It imports no other package of ours, so that every test
// may use it.
//
// What holds:
//   - Bytes are late, or their connection ends. None is lost from the middle of a stream or out of order: TCP promises
//     that over any network.
//   - While traffic is held, the end of a connection is held too: the other side sees neither data nor a close.
package proxy

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Weather is the state of the network. The zero value is a network without faults.
type Weather struct {
	Refuse   bool          // new connections are reset
	HoldUp   bool          // bytes from clients are held
	HoldDown bool          // bytes from the server are held
	Delay    time.Duration // of each piece; pieces stay in order, so it also limits the throughput
}

// piece is the largest number of bytes that are forwarded at once: with a Delay, one piece passes in each.
const piece = 16 << 10

// Proxy forwards connections to one server.
type Proxy struct {
	listener net.Listener
	target   string
	carried  atomic.Int64 // bytes from clients that the server has got

	mu          sync.Mutex
	state       Weather
	changed     chan struct{} // closed when the state changes
	connections map[*connection]struct{}
	closed      bool
}

// connection is one connection through the proxy.
type connection struct {
	client, server net.Conn
	once           sync.Once
	ended          chan struct{}
}

// loopback is where a proxy listens unless told otherwise.
const loopback = "127.0.0.1"

// New starts a proxy to a server, host:port, on a free port of loopback.
func New(target string) (*Proxy, error) { return listen(loopback, target) }

func listen(address, target string) (*Proxy, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort(address, "0"))
	if err != nil {
		return nil, fmt.Errorf("opening a proxy to %s: %w", target, err)
	}
	p := &Proxy{listener: listener, target: target, changed: make(chan struct{}), connections: map[*connection]struct{}{}}
	go p.accept()
	return p, nil
}

// Before starts a proxy to the server of a URL, and gives the URL that leads through it.
func Before(server string) (p *Proxy, through string, err error) { return BeforeAt(loopback, server) }

// BeforeAt is Before on another address of this machine: clients in another network namespace reach no loopback of
// ours.
func BeforeAt(address, server string) (p *Proxy, through string, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, "", fmt.Errorf("opening a proxy: %w", err)
	}
	if p, err = listen(address, u.Host); err != nil {
		return nil, "", err
	}
	u.Host = p.listener.Addr().String()
	return p, u.String(), nil
}

// Set changes the state of the network. Held bytes are forwarded once nothing holds them.
func (p *Proxy) Set(w Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = w
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut resets every connection on both sides. New connections are handled by the state that is set.
func (p *Proxy) Cut() {
	for _, l := range p.open() {
		l.end(reset)
	}
}

// Forsake closes every connection to the server only. Clients notice once nothing holds the bytes from the server.
func (p *Proxy) Forsake() {
	for _, l := range p.open() {
		_ = l.server.Close()
	}
}

// Shut resets every connection and refuses new ones. Open ends that.
func (p *Proxy) Shut() {
	p.Set(Weather{Refuse: true})
	p.Cut()
}

// Open sets a network without faults.
func (p *Proxy) Open() { p.Set(Weather{}) }

// Connections is how many connections are open.
func (p *Proxy) Connections() int { return len(p.open()) }

// Carried is how many bytes from clients the proxy has written to the server.
func (p *Proxy) Carried() int64 { return p.carried.Load() }

// Close resets every connection and stops the proxy.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut()
}

func (p *Proxy) open() []*connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.connections))
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

// connect dials the server for a client. It resets the client when the server is away, as the server's host would do.
func (p *Proxy) connect(client net.Conn) {
	if p.now().Refuse {
		reset(client)
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		reset(client)
		return
	}
	l := &connection{client: client, server: server, ended: make(chan struct{})}
	p.mu.Lock()
	p.connections[l] = struct{}{}
	unwanted := p.closed || p.state.Refuse
	p.mu.Unlock()
	if unwanted {
		l.end(reset)
	}
	var both sync.WaitGroup
	both.Go(func() { p.carry(l, server, client, true) })
	both.Go(func() { p.carry(l, client, server, false) })
	both.Wait()
	p.mu.Lock()
	delete(p.connections, l)
	p.mu.Unlock()
}

// carry forwards one direction of a connection until either side ends it.
func (p *Proxy) carry(l *connection, to, from net.Conn, up bool) {
	defer l.end(closeOrderly)
	buffer := make([]byte, piece)
	for {
		n, err := from.Read(buffer)
		if !p.pass(l, up) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
			if up {
				p.carried.Add(int64(n))
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits while this direction is held or delayed, and reports whether the connection is still open.
func (p *Proxy) pass(l *connection, up bool) bool {
	for {
		p.mu.Lock()
		state, changed := p.state, p.changed
		p.mu.Unlock()
		var late <-chan time.Time
		switch {
		case up && state.HoldUp, !up && state.HoldDown:
		case state.Delay > 0:
			late = time.After(state.Delay)
			changed = nil
		default:
			return true
		}
		select {
		case <-late:
			return true
		case <-changed:
		case <-l.ended:
			return false
		}
	}
}

func (p *Proxy) now() Weather {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// end closes both sides, once.
func (l *connection) end(how func(net.Conn)) {
	l.once.Do(func() {
		close(l.ended)
		how(l.client)
		how(l.server)
	})
}

// closeOrderly closes a connection; bytes that were sent still arrive.
func closeOrderly(conn net.Conn) { _ = conn.Close() }

// reset resets a connection: bytes in transit are lost.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
