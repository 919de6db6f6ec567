package chaos

import (
	"context"
	"errors"
	"slices"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers"
)

// byChaos is who the operator log names.
var byChaos = operatorlog.By{Operator: "chaos", Reason: "chaos"}

// mostSlots is one more than the most slots of a queue that is scaled.
const mostSlots = 7

// scaled sets the slots of a queue for the whole fleet, none at all at times; the heal gives it back to the flags.
func scaled(ctx context.Context, env *environment, dice uint64) (heal, error) {
	names := workers.Names()
	queue, slots := names[dice%uint64(len(names))], int(dice/uint64(len(names))%mostSlots)
	return env.scaling(queue, nil), env.scaling(queue, &slots)(ctx)
}

// scaling sets the slots of a queue, again while the database is away.
func (env *environment) scaling(queue string, slots *int) heal {
	return func(ctx context.Context) error {
		return clock.Retry(ctx, retryPause, func() error {
			_, _, err := scaling.Scale(ctx, env.direct, byChaos, []scaling.Change{{Queue: queue, Desired: slots}})
			return err
		})
	}
}

// drained has a process run no slots; the heal lets it run some again.
func drained(ctx context.Context, env *environment, dice uint64) (heal, error) {
	var node string
	err := clock.Retry(ctx, retryPause, func() error {
		s, _, err := scaling.Read(ctx, env.direct)
		s.Nodes = slices.DeleteFunc(s.Nodes, func(n scaling.Node) bool { return !n.Alive })
		if err == nil && len(s.Nodes) == 0 {
			err = errors.New("draining a node: there is none")
		}
		if err == nil {
			node = s.Nodes[dice%uint64(len(s.Nodes))].ID
		}
		return err
	})
	drain := func(draining bool) heal {
		return func(ctx context.Context) error {
			return clock.Retry(ctx, retryPause, func() error {
				_, err := scaling.Drain(ctx, env.direct, byChaos, node, draining)
				return err
			})
		}
	}
	if err == nil {
		err = drain(true)(ctx)
	}
	return drain(false), err
}
