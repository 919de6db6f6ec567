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

// plan is the point at which this process ends.
type plan struct {
	name   string
	left   atomic.Int64 // how many more times the point is passed, the last included
	signal syscall.Signal
}

var armed atomic.Pointer[plan]

// Arm makes this process end at a point: "relay.published" at the first pass, "relay.published:3" at the third,
// counted over the whole process. "relay.published:3:stop" stops it there by SIGSTOP until it gets SIGCONT. An empty
// order disarms.
func Arm(order string) error {
	if order == "" {
		armed.Store(nil)
		return nil
	}
	name, rest, _ := strings.Cut(order, ":")
	times, mode, _ := strings.Cut(rest, ":")
	p := &plan{name: name, signal: syscall.SIGKILL}
	if !known(name) {
		return fmt.Errorf("arming %q: unknown point", order)
	}
	n, err := strconv.ParseInt(times, 10, 64)
	switch {
	case times == "":
		n = 1
	case err != nil, n < 1:
		return fmt.Errorf("arming %q: the second part must be a pass number from 1 on", order)
	}
	switch mode {
	case "", "kill":
	case "stop":
		p.signal = syscall.SIGSTOP
	default:
		return fmt.Errorf("arming %q: the third part must be kill or stop", order)
	}
	p.left.Store(n)
	armed.Store(p)
	return nil
}

// Hit ends or stops the process when this pass of this point is armed.
func Hit(name string) {
	p := armed.Load()
	if p == nil || p.name != name || p.left.Add(-1) != 0 {
		return
	}
	if err := syscall.Kill(os.Getpid(), p.signal); err != nil {
		panic(fmt.Sprintf("failpoint: ending at %s: %v", name, err))
	}
	if p.signal == syscall.SIGKILL {
		select {} // no further statement runs
	}
}

func known(name string) bool {
	return slices.ContainsFunc(Points, func(p Point) bool { return p.Name == name })
}
