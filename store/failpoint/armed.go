//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// plan is where this process ends.
type plan struct {
	name   string
	left   atomic.Int64 // how often it still comes there, the last time included
	signal syscall.Signal
}

var armed atomic.Pointer[plan]

// Arm makes this process end at a point: "relay.published" the first time it comes
// there, "relay.published:3" the third time, counted over the whole process.
// "relay.published:3:stop" stops it there by SIGSTOP, until somebody sends SIGCONT;
// it goes on from where it was. An empty order disarms.
func Arm(order string) error {
	if order == "" {
		armed.Store(nil)
		return nil
	}
	name, rest, _ := strings.Cut(order, ":")
	times, mode, _ := strings.Cut(rest, ":")
	p := &plan{name: name, signal: syscall.SIGKILL}
	if !known(name) {
		return fmt.Errorf("arming %q: there is no such point", order)
	}
	n, err := strconv.ParseInt(times, 10, 64)
	switch {
	case times == "":
		n = 1
	case err != nil, n < 1:
		return fmt.Errorf("arming %q: the second part is which time, from 1 on", order)
	}
	switch mode {
	case "", "kill":
	case "stop":
		p.signal = syscall.SIGSTOP
	default:
		return fmt.Errorf("arming %q: the third part is kill or stop", order)
	}
	p.left.Store(n)
	armed.Store(p)
	return nil
}

// Hit ends or stops the process when it is armed for this point and this time.
func Hit(name string) {
	p := armed.Load()
	if p == nil || p.name != name || p.left.Add(-1) != 0 {
		return
	}
	if err := syscall.Kill(os.Getpid(), p.signal); err != nil {
		panic(fmt.Sprintf("failpoint: ending at %s: %v", name, err))
	}
	if p.signal == syscall.SIGKILL {
		select {} // not one statement more
	}
}

func known(name string) bool {
	return slices.ContainsFunc(Points, func(p Point) bool { return p.Name == name })
}
