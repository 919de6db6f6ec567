package pg

import (
	"context"
	"net"
	"time"
)

// attentive dials connections that find out when the other side is gone without
// a word: a machine without power, a network that has forgotten them. The
// kernel's own patience with what it has sent is a quarter of an hour, and no
// timeout of the server's is any use then. A server that is slow is not gone: its
// kernel answers.
type keepAliveDialer struct{}

// unansweredTime is how long the other side may leave unanswered what was sent.
// While nothing is sent it is asked after aliveIdle, three times.
const (
	unansweredTime = 20 * time.Second
	aliveIdle      = 10 * time.Second
	aliveInterval  = 5 * time.Second
	aliveCount     = 3
)

func (keepAliveDialer) dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: aliveIdle, Interval: aliveInterval, Count: aliveCount},
		Control:         boundUnanswered,
	}
}

// Dial is for pq.Dialer.
func (a keepAliveDialer) Dial(network, address string) (net.Conn, error) {
	return a.dialer(0).Dial(network, address)
}

// DialTimeout is for pq.Dialer.
func (a keepAliveDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	return a.dialer(timeout).Dial(network, address)
}

// DialContext is for pq.DialerContext.
func (a keepAliveDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return a.dialer(0).DialContext(ctx, network, address)
}
