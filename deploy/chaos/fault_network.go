package chaos

import (
	"context"
	"time"

	"github.com/composerp/composerp/deploy/chaos/proxy"
)

// proxies are the proxies that a fault affects: those of one process or of all, to one of the servers.
func (env *environment) proxies(dice uint64) []*proxy.Proxy {
	toDatabase := dice%2 == 0
	who := dice / 2 % uint64(len(env.fleet)+1)
	var found []*proxy.Proxy
	for i, m := range env.fleet {
		if who != uint64(i) && who != uint64(len(env.fleet)) {
			continue
		}
		if toDatabase {
			found = append(found, m.database)
		} else {
			found = append(found, m.broker)
		}
	}
	return found
}

// setNetwork sets the state of the affected proxies and calls at for each; the heal restores them. With cut, the heal
// also ends their connections.
func (env *environment) setNetwork(dice uint64, w proxy.Weather, at func(*proxy.Proxy), cut bool) (heal, error) {
	affected := env.proxies(dice)
	for _, p := range affected {
		p.Set(w)
		if at != nil {
			at(p)
		}
	}
	return func(context.Context) error {
		for _, p := range affected {
			if cut {
				p.Cut()
			}
			p.Set(proxy.Weather{})
		}
		return nil
	}, nil
}

func netCut(_ context.Context, env *environment, dice uint64) (heal, error) {
	return env.setNetwork(dice, proxy.Weather{Refuse: true}, (*proxy.Proxy).Cut, true)
}

func netBlackHole(_ context.Context, env *environment, dice uint64) (heal, error) {
	return env.setNetwork(dice, proxy.Weather{HoldUp: true, HoldDown: true}, nil, dice&(1<<20) == 0)
}

func netHalfOpen(_ context.Context, env *environment, dice uint64) (heal, error) {
	return env.setNetwork(dice, proxy.Weather{HoldUp: true, HoldDown: true}, (*proxy.Proxy).Forsake, true)
}

func netOneWay(_ context.Context, env *environment, dice uint64) (heal, error) {
	up := dice&(1<<21) == 0
	return env.setNetwork(dice, proxy.Weather{HoldUp: up, HoldDown: !up}, nil, dice&(1<<20) == 0)
}

func netSlow(_ context.Context, env *environment, dice uint64) (heal, error) {
	return env.setNetwork(dice, proxy.Weather{Delay: 40 * time.Millisecond}, nil, false)
}
