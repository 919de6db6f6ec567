package store_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// cutter stands between a pool and the server, and cuts connections.
type cutter struct {
	url      string
	mu       sync.Mutex
	conns    []net.Conn
	listener net.Listener
}

func newCutter(t *testing.T, databaseURL string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	u, err := url.Parse(databaseURL)
	must(t, err)
	server := u.Host
	u.Host = listener.Addr().String()
	c := &cutter{url: u.String(), listener: listener}
	t.Cleanup(func() { listener.Close(); c.all() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			backend, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, client, backend)
			c.mu.Unlock()
			go func() { io.Copy(backend, client); backend.Close() }()
			go func() { io.Copy(client, backend); client.Close() }()
		}
	}()
	return c
}

// all cuts every connection there is.
func (c *cutter) all() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}
