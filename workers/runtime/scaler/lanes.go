package scaler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
)

// # Lanes
//
// The leader also gives the lanes of ordered workers to nodes (lanes.Assign), and switches their number, step by step.
// Package lanes has the steps, their invariants, and what a crash leaves after each. The steps wait for the broker and
// for other nodes, so they are taken beside the assignment of slots, which waits for neither.

const (
	logLanesWait   = "lanes are not assigned or switched for now"
	logLanesSwitch = "a switch of lanes has come to its next step"
)

// divide assigns and switches lanes while the lease is held.
func (n *Node) divide(ctx context.Context, lease store.Lease) {
	waits := clock.Seldom{}
	for ctx.Err() == nil {
		moved, err := n.divideOnce(ctx, lease)
		if err != nil && ctx.Err() == nil && waits.Due() {
			n.Log.Warn(logLanesWait, "error", err)
		}
		if err == nil {
			waits.Reset()
		}
		if moved && err == nil {
			continue
		}
		timer := time.NewTimer(poll)
		select {
		case <-ctx.Done():
		case <-n.lanesLook:
		case <-timer.C:
		}
		timer.Stop()
	}
	n.Metrics.hideLanes()
}

// divideOnce assigns lanes and takes the next step of each switch. It reports whether there may be more to do at once.
func (n *Node) divideOnce(ctx context.Context, lease store.Lease) (moved bool, err error) {
	if _, err := lanes.Assign(ctx, n.DB, lease); err != nil && !errors.Is(err, store.ErrRetryable) {
		return false, err
	}
	sets, err := lanes.Sets(ctx, n.DB)
	if err != nil || len(sets) == 0 {
		return false, err
	}
	all, err := lanes.All(ctx, n.DB)
	if err != nil {
		return false, err
	}
	unowned, err := lanes.Unowned(ctx, n.DB)
	if err != nil {
		return false, err
	}
	n.Metrics.showLanes(sets, unowned)
	for _, s := range sets {
		stepped, err := n.step(ctx, lease, s, all)
		if err != nil {
			return moved, err
		}
		moved = moved || stepped
	}
	return moved, nil
}

// step takes the next step of a switch, if it can be taken now.
func (n *Node) step(ctx context.Context, lease store.Lease, s lanes.Set, all []lanes.Lane) (done bool, err error) {
	i := slices.IndexFunc(n.Ordered, func(sub topology.Subscription) bool { return sub.Worker == s.Queue })
	if i < 0 {
		return false, nil // of a worker that this version does not know, or that is not ordered any more
	}
	sub := n.Ordered[i]
	open := slices.ContainsFunc(all, func(l lanes.Lane) bool {
		return l.Queue == s.Queue && l.Number == lanes.Entrance && l.Node != nil
	})
	what := ""
	switch {
	case s.Former != nil && *s.Former != s.Routed && *s.Former != s.Consumed:
		what, done, err = "deleted the former queues", false, nil
		if done, err = n.clean(ctx, s); done {
			err = lanes.Cleaned(ctx, n.DB, lease, s)
		}
	case s.Former != nil: // these lanes are in use again
		what, done, err = "use the former queues again", true, lanes.Cleaned(ctx, n.DB, lease, s)
	case s.Switching() && s.Unbound == nil:
		what, done, err = "removed the old bindings", true, n.unbind(ctx, sub, s)
		if err == nil {
			err = lanes.Unbound(ctx, n.DB, lease, s)
		}
	case s.Switching():
		what = "consume the new lanes"
		done, err = lanes.Consume(ctx, n.DB, lease, s)
	case s.Wanted != s.Routed && (s.Wanted > 0 || !open):
		what, done, err = "declared the new lanes", true, n.bind(ctx, sub, s)
		if err == nil {
			err = lanes.Route(ctx, n.DB, lease, s, s.Wanted)
		}
	}
	if err != nil {
		return false, fmt.Errorf("switching the lanes of %s: %w", s.Queue, err)
	}
	if done {
		n.Log.Info(logLanesSwitch, "queue", s.Queue, "step", what, "wanted", s.Wanted, "routed", s.Routed, "consumed", s.Consumed)
	}
	return done, nil
}

// bind declares the lanes that are wanted, beside those that are consumed.
func (n *Node) bind(ctx context.Context, sub topology.Subscription, s lanes.Set) error {
	sub.Ordered, sub.Lanes = true, topology.Lanes{Routed: s.Wanted, Consumed: s.Consumed}
	return rabbitmq.Apply(ctx, topology.Compute([]topology.Subscription{sub}), n.Broker)
}

// unbind removes the bindings of the lanes that are consumed, but for those that the new lanes need as well.
func (n *Node) unbind(ctx context.Context, sub topology.Subscription, s lanes.Set) error {
	sub.Ordered, sub.Lanes = true, topology.Lanes{Routed: s.Routed, Consumed: s.Consumed}
	wanted := sub.EventBindings()
	sub.Lanes.Routed = s.Consumed
	old := slices.DeleteFunc(sub.EventBindings(), func(b topology.BindingSpec) bool { return slices.Contains(wanted, b) })
	return rabbitmq.Unbind(ctx, n.Broker, old)
}

// clean deletes the queues of the former lanes, which are drained and unbound. It reports whether all are gone.
func (n *Node) clean(ctx context.Context, s lanes.Set) (gone bool, err error) {
	session, err := rabbitmq.Open(ctx, n.Broker)
	if err != nil {
		return false, err
	}
	defer session.Close()
	gone = true
	for _, q := range topology.LaneQueues(s.Queue, *s.Former) {
		deleted, err := session.DeleteIdle(q.Name)
		if err != nil {
			return false, err
		}
		gone = gone && deleted
	}
	return gone, nil
}
