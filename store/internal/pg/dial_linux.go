package pg

import (
	"strings"
	"syscall"
)

// tcpUserTimeout is Linux's TCP_USER_TIMEOUT (RFC 5482), which package syscall lacks.
const tcpUserTimeout = 0x12

// boundUnanswered bounds how long sent data may stay unacknowledged.
func boundUnanswered(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := c.Control(func(socket uintptr) {
		failed = syscall.SetsockoptInt(int(socket), syscall.IPPROTO_TCP, tcpUserTimeout, int(unansweredTime.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
