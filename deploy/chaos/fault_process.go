package chaos

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// victim is one of the fleet's processes.
func (env *environment) victim(dice uint64) *member { return env.fleet[dice%uint64(len(env.fleet))] }

func kill(_ context.Context, env *environment, dice uint64) (heal, error) {
	m := env.victim(dice)
	m.kill()
	return func(context.Context) error { return m.start() }, nil
}

func pause(_ context.Context, env *environment, dice uint64) (heal, error) {
	m := env.victim(dice)
	m.signal(syscall.SIGSTOP)
	return func(context.Context) error { m.signal(syscall.SIGCONT); return nil }, nil
}

// stopTimeout is how long a process may take to exit when it is told to: longer than draining may take (worker's
// drainTime, 20 s).
const stopTimeout = 30 * time.Second

func terminate(_ context.Context, env *environment, dice uint64) (heal, error) {
	m := env.victim(dice)
	if limit := env.cfg.allow(stopTimeout); !m.stop(limit) {
		env.addFinding(fmt.Sprintf("%s did not exit within %s of SIGTERM", m.name, limit))
	}
	return func(context.Context) error { return m.start() }, nil
}
