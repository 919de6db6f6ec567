// Package proxy is a network that misbehaves: it stands between clients and one server, on loopback, and does what networks do to
// connections. It imports nothing of ours, so that every test may stand it in somebody's way.
//
// What holds:
//   - Bytes are late, or their connection ends; none is lost from the middle of a stream or changes its place. That is what TCP promises
//     over the worst network, and all that it promises.
//   - A connection that is held is not closed towards the other side either: who is cut off hears nothing at all, not even of an end.
package proxy

import (
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Weather is what the network does. The zero value is a good one.
type Weather struct {
	Refuse   bool          // who dials is hung up on
	HoldUp   bool          // what clients say is held back
	HoldDown bool          // what the server says is held back
	Delay    time.Duration // how late each piece is; the next one waits behind it
}

// piece is the largest number of bytes that are carried at once: with a Delay it is what comes through in each.
const piece = 16 << 10

// Proxy is one way to a server.
type Proxy struct {
	listener net.Listener
	target   string
	taken    atomic.Int64 // bytes from clients
	carried  atomic.Int64 // of those, bytes that the server got

	mu      sync.Mutex
	weather Weather
	changed chan struct{} // closed when the weather changes
	lines   map[*line]struct{}
	closed  bool
}

// line is one connection through the proxy.
type line struct {
	client, server net.Conn
	once           sync.Once
	ended          chan struct{}
}

// New opens a way to a server, host:port, from a port of its own on loopback.
func New(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("opening a proxy to %s: %w", target, err)
	}
	p := &Proxy{listener: listener, target: target, changed: make(chan struct{}), lines: map[*line]struct{}{}}
	go p.accept()
	return p, nil
}

// Before opens a way to the server of a URL, and gives the URL that leads through it.
func Before(address string) (p *Proxy, through string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", fmt.Errorf("opening a proxy: %w", err)
	}
	if p, err = New(u.Host); err != nil {
		return nil, "", err
	}
	u.Host = p.listener.Addr().String()
	return p, u.String(), nil
}

// Set changes the weather. What was held goes on when it is held no longer.
func (p *Proxy) Set(w Weather) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.weather = w
	close(p.changed)
	p.changed = make(chan struct{})
}

// Cut ends every connection on both sides; new ones are taken as the weather says.
func (p *Proxy) Cut() {
	for _, l := range p.open() {
		l.end(hangUp)
	}
}

// Forsake ends every connection towards the server alone: clients hear of it once nothing holds what the server says.
func (p *Proxy) Forsake() {
	for _, l := range p.open() {
		_ = l.server.Close()
	}
}

// Shut lets nobody through, and throws out whoever was; Open lets them through again.
func (p *Proxy) Shut() {
	p.Set(Weather{Refuse: true})
	p.Cut()
}

// Open is a good weather.
func (p *Proxy) Open() { p.Set(Weather{}) }

// Connections is how many are open.
func (p *Proxy) Connections() int { return len(p.open()) }

// Taken is how many bytes of clients have come this far.
func (p *Proxy) Taken() int64 { return p.taken.Load() }

// Carried is how many bytes of clients have been handed to the server.
func (p *Proxy) Carried() int64 { return p.carried.Load() }

// Close ends everything and takes no more.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Cut()
}

func (p *Proxy) open() []*line {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := make([]*line, 0, len(p.lines))
	for l := range p.lines {
		lines = append(lines, l)
	}
	return lines
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

// connect dials the server for a client. A client of a server that is away is hung up on, as the server's own host would do.
func (p *Proxy) connect(client net.Conn) {
	if p.now().Refuse {
		hangUp(client)
		return
	}
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		hangUp(client)
		return
	}
	l := &line{client: client, server: server, ended: make(chan struct{})}
	p.mu.Lock()
	p.lines[l] = struct{}{}
	unwanted := p.closed || p.weather.Refuse
	p.mu.Unlock()
	if unwanted {
		l.end(hangUp)
	}
	var both sync.WaitGroup
	both.Go(func() { p.carry(l, server, client, true) })
	both.Go(func() { p.carry(l, client, server, false) })
	both.Wait()
	p.mu.Lock()
	delete(p.lines, l)
	p.mu.Unlock()
}

// carry carries one direction of a line until either side ends it.
func (p *Proxy) carry(l *line, to, from net.Conn, up bool) {
	defer l.end(goodbye)
	buffer := make([]byte, piece)
	for {
		n, err := from.Read(buffer)
		if up {
			p.taken.Add(int64(n))
		}
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

// pass waits for as long as the weather holds what goes this way, and reports whether the line is still there.
func (p *Proxy) pass(l *line, up bool) bool {
	for {
		p.mu.Lock()
		weather, changed := p.weather, p.changed
		p.mu.Unlock()
		var late <-chan time.Time
		switch {
		case up && weather.HoldUp, !up && weather.HoldDown:
		case weather.Delay > 0:
			late = time.After(weather.Delay)
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
	return p.weather
}

// end closes both sides, once.
func (l *line) end(how func(net.Conn)) {
	l.once.Do(func() {
		close(l.ended)
		how(l.client)
		how(l.server)
	})
}

// goodbye lets what was said before it arrive.
func goodbye(conn net.Conn) { _ = conn.Close() }

// hangUp is a reset: nothing that was on its way arrives.
func hangUp(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
