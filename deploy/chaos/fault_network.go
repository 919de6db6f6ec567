package chaos

import (
	"context"
	"time"

	"github.com/composerp/composerp/deploy/chaos/proxy"
)

// ways are the proxies that a fault is about: one process's way to one of the servers, or everybody's.
func (h *environment) proxies(dice uint64) []*proxy.Proxy {
	toDatabase := dice%2 == 0
	who := dice / 2 % uint64(len(h.fleet)+1)
	var ways []*proxy.Proxy
	for i, m := range h.fleet {
		if who != uint64(i) && who != uint64(len(h.fleet)) {
			continue
		}
		if toDatabase {
			ways = append(ways, m.database)
		} else {
			ways = append(ways, m.broker)
		}
	}
	return ways
}

// weather sets the weather on some ways, does what happens at once, and clears up again. With cut, connections do not outlive it.
func (h *environment) setNetwork(dice uint64, w proxy.Weather, at func(*proxy.Proxy), cut bool) (heal, error) {
	ways := h.proxies(dice)
	for _, p := range ways {
		p.Set(w)
		if at != nil {
			at(p)
		}
	}
	return func(context.Context) error {
		for _, p := range ways {
			if cut {
				p.Cut()
			}
			p.Set(proxy.Weather{})
		}
		return nil
	}, nil
}

func netCut(_ context.Context, h *environment, dice uint64) (heal, error) {
	return h.setNetwork(dice, proxy.Weather{Refuse: true}, (*proxy.Proxy).Cut, true)
}

func netBlackHole(_ context.Context, h *environment, dice uint64) (heal, error) {
	return h.setNetwork(dice, proxy.Weather{HoldUp: true, HoldDown: true}, nil, dice&(1<<20) == 0)
}

func netHalfOpen(_ context.Context, h *environment, dice uint64) (heal, error) {
	return h.setNetwork(dice, proxy.Weather{HoldUp: true, HoldDown: true}, (*proxy.Proxy).Forsake, true)
}

func netOneWay(_ context.Context, h *environment, dice uint64) (heal, error) {
	up := dice&(1<<21) == 0
	return h.setNetwork(dice, proxy.Weather{HoldUp: up, HoldDown: !up}, nil, dice&(1<<20) == 0)
}

func netSlow(_ context.Context, h *environment, dice uint64) (heal, error) {
	return h.setNetwork(dice, proxy.Weather{Delay: 40 * time.Millisecond}, nil, false)
}
