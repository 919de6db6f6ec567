package chaos

import (
	"context"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store/lanes"
)

// ordered is the worker whose queue is divided into lanes.
const ordered = "stockview"

// laneSteps are the numbers of lanes that the fault asks for, beginning anywhere.
var laneSteps = []int{16, 32, 8}

// laneTimeout is how long the fault waits for a switch before it asks for the next number: another fault can prevent
// the switch, and three of these waits must fit into injectTimeout.
const laneTimeout = 8 * time.Second

// laned divides the queue into lanes, and changes their number twice; the heal asks for none. The recovery waits for
// that.
func laned(ctx context.Context, env *environment, dice uint64) (heal, error) {
	first := int(dice % uint64(len(laneSteps)))
	for _, count := range slices.Concat(laneSteps[first:], laneSteps[:first]) {
		if err := env.wantLanes(count)(ctx); err != nil {
			return env.wantLanes(0), err
		}
		waiting, cancel := context.WithTimeout(ctx, env.cfg.allow(laneTimeout))
		for env.switching(waiting) && clock.Sleep(waiting, retryPause) {
		}
		cancel()
	}
	return env.wantLanes(0), nil
}

// wantLanes asks for a number of lanes, again while the database is away.
func (env *environment) wantLanes(count int) heal {
	return func(ctx context.Context) error {
		return clock.Retry(ctx, retryPause, func() error {
			_, err := lanes.Want(ctx, env.direct, byChaos, ordered, count)
			return err
		})
	}
}

// switching tells whether a switch of lanes is under way, or whether that is not known.
func (env *environment) switching(ctx context.Context) bool {
	sets, err := lanes.Sets(ctx, env.direct)
	return err != nil || !lanes.Of(sets, ordered).Settled()
}
