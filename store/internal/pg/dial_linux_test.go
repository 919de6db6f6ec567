package pg

import (
	"net"
	"syscall"
	"testing"
)

func TestConnectionsTimeOutWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for name, dial := range map[string]func() (net.Conn, error){
		"Dial": func() (net.Conn, error) { return keepAliveDialer{}.Dial("tcp", listener.Addr().String()) },
		"DialTimeout": func() (net.Conn, error) {
			return keepAliveDialer{}.DialTimeout("tcp", listener.Addr().String(), unansweredTime)
		},
		"DialContext": func() (net.Conn, error) {
			return keepAliveDialer{}.DialContext(t.Context(), "tcp", listener.Addr().String())
		},
	} {
		conn, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Control(func(socket uintptr) {
			for option, want := range map[int]int{
				tcpUserTimeout: int(unansweredTime.Milliseconds()), syscall.TCP_KEEPIDLE: int(aliveIdle.Seconds()),
				syscall.TCP_KEEPINTVL: int(aliveInterval.Seconds()), syscall.TCP_KEEPCNT: aliveCount,
			} {
				if got, err := syscall.GetsockoptInt(int(socket), syscall.IPPROTO_TCP, option); err != nil || got != want {
					t.Errorf("%s: option %d is %d, %v, want %d", name, option, got, err, want)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
