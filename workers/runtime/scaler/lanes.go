package scaler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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

// answerTimeout is how long a new queue may take to accept a consumer.
const answerTimeout = 20 * time.Second

const (
	logLanesWait   = "lanes are not assigned or switched for now"
	logLaneDead    = "a new queue does not answer; declaring it again"
	logLanesSwitch = "a switch of lanes has come to its next step"
)

// divide assigns and switches lanes while the lease is held. A step of a switch can take a minute on a busy broker;
// meanwhile the lanes of a node that died go to others.
func (n *Node) divide(ctx context.Context, lease store.Lease) {
	var both sync.WaitGroup
	both.Go(func() { n.whileLeading(ctx, n.lanesLook, func() (bool, error) { return n.assignLanes(ctx, lease) }) })
	both.Go(func() { n.whileLeading(ctx, n.lanesStep, func() (bool, error) { return n.switchLanes(ctx, lease) }) })
	both.Wait()
	n.Metrics.hideLanes()
}

// whileLeading calls do again and again: at once while that says so, else when there is something to look at.
func (n *Node) whileLeading(ctx context.Context, look <-chan struct{}, do func() (again bool, err error)) {
	waits := clock.Seldom{}
	for ctx.Err() == nil {
		again, err := do()
		if err == nil {
			waits.Reset()
		} else if ctx.Err() == nil && !errors.Is(err, store.ErrRetryable) && waits.Due() {
			n.Log.Warn(logLanesWait, "error", err)
		}
		if again && err == nil {
			continue
		}
		timer := time.NewTimer(poll)
		select {
		case <-ctx.Done():
		case <-look:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// assignLanes assigns lanes, and shows how many there are.
func (n *Node) assignLanes(ctx context.Context, lease store.Lease) (again bool, err error) {
	changed, err := lanes.Assign(ctx, n.DB, lease)
	if err != nil {
		return false, err
	}
	if changed {
		poke(n.lanesStep)
	}
	sets, err := lanes.Sets(ctx, n.DB)
	if err != nil || len(sets) == 0 {
		return false, err
	}
	unowned, err := lanes.Unowned(ctx, n.DB)
	if err == nil {
		n.Metrics.showLanes(sets, unowned)
	}
	return false, err
}

// switchLanes takes the next step of each switch, and reports whether one was taken.
func (n *Node) switchLanes(ctx context.Context, lease store.Lease) (again bool, err error) {
	sets, err := lanes.Sets(ctx, n.DB)
	if err != nil || len(sets) == 0 {
		return false, err
	}
	all, err := lanes.All(ctx, n.DB)
	if err != nil {
		return false, err
	}
	for _, s := range sets {
		done, err := n.step(ctx, lease, s, all)
		if err != nil {
			return false, err
		}
		again = again || done
	}
	if again {
		poke(n.lanesLook)
	}
	return again, nil
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
		what = "deleted the former queues"
		if done, err = n.clean(ctx, s); done {
			err = lanes.Cleaned(ctx, n.DB, lease, s)
		}
	case s.Former != nil: // these lanes are in use again
		what, done, err = "used the former queues again", true, lanes.Cleaned(ctx, n.DB, lease, s)
	case s.Switching() && s.Unbound == nil:
		what, done, err = "removed the old bindings", true, n.unbind(ctx, sub, s)
		if err == nil {
			err = lanes.Unbound(ctx, n.DB, lease, s)
		}
	case s.Switching():
		what = "consumed the new lanes"
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
//
// RabbitMQ 3.10 may declare a quorum queue whose process then dies at its first tick, on a machine so busy that the
// queue had not begun (rabbit_quorum_queue:handle_tick, function_clause). What is routed to such a queue is never
// confirmed, and the relay would stand. So each queue has to answer before it is bound.
func (n *Node) bind(ctx context.Context, sub topology.Subscription, s lanes.Set) error {
	sub.Ordered, sub.Lanes = true, topology.Lanes{Routed: s.Wanted, Consumed: s.Consumed}
	all := topology.Compute([]topology.Subscription{sub})
	unbound := all
	unbound.Bindings = nil
	if err := rabbitmq.Apply(ctx, unbound, n.Broker); err != nil {
		return err
	}
	if err := n.answer(ctx, topology.LaneQueues(s.Queue, s.Wanted)); err != nil {
		return err
	}
	return rabbitmq.Apply(ctx, all, n.Broker)
}

// answer returns an error when one of the queues takes no consumer, and deletes it: it is empty, as it was never bound.
func (n *Node) answer(ctx context.Context, queues []topology.QueueSpec) error {
	session, err := rabbitmq.Open(ctx, n.Broker)
	if err != nil {
		return err
	}
	defer session.Close()
	defer context.AfterFunc(ctx, func() { _ = session.Close() })()
	hung := time.AfterFunc(answerTimeout, func() { _ = session.Close() })
	defer hung.Stop()
	for _, q := range queues {
		hung.Reset(answerTimeout)
		consumer, err := session.Consume(q.Name, "answers."+q.Name+"."+n.Self.ID, 1)
		if err == nil {
			err = consumer.Close()
		}
		if err != nil {
			n.Log.Error(logLaneDead, "queue", q.Name, "error", err)
			return errors.Join(err, n.deleteIdle(ctx, q.Name))
		}
	}
	return nil
}

func (n *Node) deleteIdle(ctx context.Context, queue string) error {
	session, err := rabbitmq.Open(ctx, n.Broker)
	if err != nil {
		return err
	}
	defer session.Close()
	_, err = session.DeleteIdle(queue)
	return err
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
