package relay_test

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
)

// gate is a way to a server that can be shut: then nobody gets through, and
// whoever was through is thrown out.
type gate struct {
	url, target string
	mu          sync.Mutex
	listener    net.Listener
	through     []net.Conn

	swallow   atomic.Bool // what goes in does not come out
	swallowed atomic.Int64
}

func newGate(h *house, serverURL string) *gate {
	h.Helper()
	u, err := url.Parse(serverURL)
	h.must(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	g := &gate{target: u.Host, listener: listener}
	u.Host = listener.Addr().String()
	g.url = u.String()
	go g.accept(listener)
	h.Cleanup(g.shut)
	return g
}

func (g *gate) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", g.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		g.mu.Lock()
		g.through = append(g.through, client, server)
		g.mu.Unlock()
		go g.carry(client, server, false)
		go g.carry(server, client, true)
	}
}

func (g *gate) carry(to, from net.Conn, inward bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if inward && g.swallow.Load() {
			g.swallowed.Add(int64(n))
		} else if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (g *gate) shut() {
	_ = g.listener.Close()
	g.throwOut()
}

func (g *gate) throwOut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.through {
		_ = c.Close()
	}
}

func (g *gate) open() {
	listener, err := net.Listen("tcp", g.listener.Addr().String())
	if err != nil {
		panic(err)
	}
	g.listener = listener
	go g.accept(listener)
}
