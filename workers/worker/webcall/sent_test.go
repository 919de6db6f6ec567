package webcall

import (
	"errors"
	"net"
	"testing"
)

// written is a socket that calls on while it is written to, and takes a number of bytes.
type written struct {
	net.Conn
	on    func()
	takes int
}

func (w written) Write([]byte) (int, error) {
	w.on()
	if w.takes == 0 {
		return 0, errors.New("reset")
	}
	return w.takes, nil
}

// The other side may answer before the call that wrote to the socket returns: the request counts as sent by then. It
// does not where no byte was taken.
func TestARequestCountsAsSentWhileItIsWritten(t *testing.T) {
	t.Parallel()
	for takes, after := range map[int]bool{5: true, 1: true, 0: false} {
		var s sending
		conn := &countingConn{Conn: written{takes: takes, on: func() {
			if !s.began() {
				t.Errorf("while it is written (%d bytes), it counts as not sent", takes)
			}
		}}}
		s.conns = []connUse{{conn: conn}}
		if s.began() {
			t.Error("before it is written it counts as sent")
		}
		_, _ = conn.Write([]byte("POST "))
		if s.began() != after {
			t.Errorf("after %d bytes were taken it counts as sent: %t", takes, s.began())
		}
	}
}
