package webcall

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
)

// # Was the request sent?
//
// The type of an error does not tell: a proxy that is down, a name that is unknown and a certificate that is not valid
// have types of their own, and a connection may be reset before and after the request. So the bytes are counted where
// they leave, on the socket, from the moment that net/http gives a connection to the request: bytes before that are the
// handshakes of proxies and of TLS. A byte too many is counted when several requests share a connection (HTTP/2), and
// while bytes are being written: then an unsent request counts as sent, never the other way round.

// ErrNotSent matches the error of a call that ended before a byte of its request was sent: the other side knows nothing
// of it.
var ErrNotSent = errors.New("not sent")

// countingConn counts the bytes that are written to a socket.
type countingConn struct {
	net.Conn
	written atomic.Int64
}

// Write counts before it writes: the answer may be read before this goroutine goes on.
func (c *countingConn) Write(b []byte) (int, error) {
	c.written.Add(int64(len(b)))
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n - len(b)))
	return n, err
}

func dialCounting(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: connectTime}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countingConn{Conn: conn}, nil
}

// sending observes one call, over all connections that net/http tries for it.
type sending struct {
	mu    sync.Mutex
	conns []connUse
}

// connUse is a connection and what had been written to it before the request.
type connUse struct {
	conn   *countingConn
	before int64
}

func (s *sending) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		use := connUse{conn: socketOf(got.Conn)}
		if use.conn != nil {
			use.before = use.conn.written.Load()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns = append(s.conns, use)
	}})
}

// began tells whether a byte of the request has left. A connection that is not counted may have carried it.
func (s *sending) began() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.conns, func(use connUse) bool {
		return use.conn == nil || use.conn.written.Load() > use.before
	})
}

// socketOf takes the layers of TLS off a connection: two behind a proxy that is spoken to by https. It is nil for a
// connection that dialCounting did not make.
func socketOf(conn net.Conn) *countingConn {
	for {
		layer, is := conn.(*tls.Conn)
		if !is {
			counting, _ := conn.(*countingConn)
			return counting
		}
		conn = layer.NetConn()
	}
}
