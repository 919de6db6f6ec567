package pg

import (
	"context"
	"net"
	"time"
)

// keepAliveDialer dials connections that notice a dead peer: a machine without power, a network that dropped its
// state. The kernel retransmits for a quarter of an hour, and the server's timeouts do not help then. A slow server is
// not affected: its kernel answers.
type keepAliveDialer struct{}

// unansweredTime is how long sent data may stay unacknowledged. An idle connection is probed after aliveIdle, three
// times.
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

// Dial implements pq.Dialer.
func (a keepAliveDialer) Dial(network, address string) (net.Conn, error) {
	return a.dialer(0).Dial(network, address)
}

// DialTimeout implements pq.Dialer.
func (a keepAliveDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	return a.dialer(timeout).Dial(network, address)
}

// DialContext implements pq.DialerContext.
func (a keepAliveDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return a.dialer(0).DialContext(ctx, network, address)
}
