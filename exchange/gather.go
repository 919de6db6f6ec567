package exchange

import (
	"net"
	"sync"
	"time"
)

// gatherer is a socket that gathers what is written while an earlier write is under way, and sends it in one. The
// library writes to the socket once a message; under load one system call then carries many, and the broker, too, reads
// many at once. A message alone is not delayed: nothing is waited for.
//
// A write that fails is told to the next caller, as the kernel's own buffer would do it. Confirms, not writes, tell what
// has arrived.
type gatherer struct {
	net.Conn

	mu      sync.Mutex
	changed sync.Cond // waiting has grown or been taken, or closing or err been set
	waiting []byte
	closing bool
	err     error
}

const (
	// gatherAtMost holds a writer up whose peer does not read.
	gatherAtMost = 256 << 10
	// lastWords is how long a closed socket may take for what was written before.
	lastWords = time.Second
)

func gather(socket net.Conn) *gatherer {
	g := &gatherer{Conn: socket, waiting: make([]byte, 0, 16<<10)}
	g.changed.L = &g.mu
	go g.send()
	return g
}

func (g *gatherer) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.waiting) >= gatherAtMost && g.err == nil && !g.closing {
		g.changed.Wait()
	}
	if g.closing && g.err == nil {
		g.err = net.ErrClosed
	}
	if g.err != nil {
		return 0, g.err
	}
	if len(g.waiting) == 0 {
		g.changed.Broadcast()
	}
	g.waiting = append(g.waiting, b...)
	return len(b), nil
}

// send writes out what is waiting until the socket is closed or fails.
func (g *gatherer) send() {
	defer g.Conn.Close()
	var sending []byte
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		for len(g.waiting) == 0 && !g.closing {
			g.changed.Wait()
		}
		if len(g.waiting) == 0 {
			return
		}
		sending, g.waiting = g.waiting, sending[:0]
		g.changed.Broadcast()
		g.mu.Unlock()
		_, err := g.Conn.Write(sending)
		g.mu.Lock()
		if err != nil {
			g.err = err
			g.changed.Broadcast()
			return
		}
	}
}

// Close ends the socket once what was written before is out, without waiting for it.
func (g *gatherer) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closing {
		g.closing = true
		g.changed.Broadcast()
		return g.SetWriteDeadline(time.Now().Add(lastWords))
	}
	return nil
}
