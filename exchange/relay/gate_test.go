package relay_test

import (
	"io"
	"net"
	"net/url"
	"sync"
)

// gate is a way to a server that can be shut: then nobody gets through, and
// whoever was through is thrown out.
type gate struct {
	url, target string
	mu          sync.Mutex
	listener    net.Listener
	through     []net.Conn
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
		carry := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			_, _ = to.Close(), from.Close()
		}
		go carry(client, server)
		go carry(server, client)
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
