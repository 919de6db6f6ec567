package chaos

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// victim is one of the fleet's processes.
func (h *house) victim(dice uint64) *member { return h.fleet[dice%uint64(len(h.fleet))] }

func kill(_ context.Context, h *house, dice uint64) (heal, error) {
	m := h.victim(dice)
	m.kill()
	return func(context.Context) error { return m.start() }, nil
}

func pause(_ context.Context, h *house, dice uint64) (heal, error) {
	m := h.victim(dice)
	m.signal(syscall.SIGSTOP)
	return func(context.Context) error { m.signal(syscall.SIGCONT); return nil }, nil
}

// stopPatience is how long a process may take to end when it is told to: longer than what is in hand may take (worker's drainTime, 20 s).
const stopPatience = 30 * time.Second

func terminate(_ context.Context, h *house, dice uint64) (heal, error) {
	m := h.victim(dice)
	if limit := h.cfg.allow(stopPatience); !m.stop(limit) {
		h.find(fmt.Sprintf("%s did not end within %s of SIGTERM", m.name, limit))
	}
	return func(context.Context) error { return m.start() }, nil
}
