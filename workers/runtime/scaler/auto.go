package scaler

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/runtime/autoscaler"
)

// # Pools in mode auto
//
// Each Interval the leader reads what nodes have reported of their slots' work, asks the broker how many messages are
// ready, and decides (package autoscaler). What it knows of the past is in memory: a new leader begins with the curves
// that the last one wrote beside its decisions, and watches before it takes slots away.
//
// A queue that sleeps has no slot that could report: the leader's look at its depth, one passive declaration each
// Interval, wakes it. That takes any one permission on the queue.

const (
	logDecides     = "the autoscaler changes the slots of a queue"
	logNotMeasured = "the autoscaler decides nothing for now"
	// curveMemory is the time constant by which older batches lose weight while newer ones come.
	curveMemory = 5 * time.Minute
)

// auto decides for the pools in mode auto, while this node leads.
type auto struct {
	node    *Node
	session *rabbitmq.Session
	queues  map[string]*autoQueue
}

// autoQueue is what is known of a queue.
type autoQueue struct {
	scaler autoscaler.Autoscaler
	curve  autoscaler.Curve
	work   map[string]scaling.Work // by node, as last read
	read   time.Time
	batch  int // messages of a full batch
}

// run decides until ctx is done.
func (a *auto) run(ctx context.Context, lease store.Lease) {
	defer func() {
		a.node.Metrics.hide()
		if a.session != nil {
			a.session.Close()
		}
	}()
	ticker, waits := time.NewTicker(a.node.Interval), clock.Seldom{}
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch err := a.decide(ctx, lease); {
		case err == nil:
			waits.Reset()
		case ctx.Err() == nil && waits.Due():
			a.node.Log.Warn(logNotMeasured, "error", err)
		}
	}
}

// decide decides for each pool in mode auto. An error leaves all numbers as they are.
func (a *auto) decide(ctx context.Context, lease store.Lease) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	state, reports, err := scaling.Read(ctx, a.node.DB)
	if err != nil {
		return err
	}
	a.node.Metrics.show(state, reports)
	var measured scaling.Measured
	for _, p := range state.Pools {
		if p.Mode != scaling.Auto || p.Paused || p.Until != nil {
			delete(a.queues, p.Queue)
			continue
		}
		if measured.Quarantined == nil {
			if measured, err = scaling.Measure(ctx, a.node.DB); err != nil {
				return err
			}
		}
		if err := a.decideFor(ctx, lease, p, state, reports, measured); err != nil {
			return err
		}
	}
	return nil
}

func (a *auto) decideFor(ctx context.Context, lease store.Lease, p scaling.Pool, state scaling.State, reports []scaling.Report, m scaling.Measured) error {
	q, err := a.queue(ctx, p.Queue)
	if err != nil {
		return err
	}
	sets, err := lanes.Sets(ctx, a.node.DB)
	if err != nil {
		return err
	}
	set := lanes.Of(sets, p.Queue)
	sample, err := a.sample(ctx, q, p, set, state, reports, m)
	if err != nil {
		return err
	}
	policy := PolicyOf(p, q.batch, sample.Running+m.Free)
	policy.Lanes = set.Consumed
	d := q.scaler.Decide(policy, sample)
	a.node.Metrics.decided(p.Queue, d)
	decision, err := json.Marshal(d)
	if err != nil {
		return err
	}
	curve, err := json.Marshal(q.curve)
	if err != nil {
		return err
	}
	reason := Reason(d)
	taken, err := scaling.Decided(ctx, a.node.DB, lease, p, d.Desired, reason, scaling.Decision{Decision: decision, Curve: curve})
	if taken {
		a.node.Log.Info(logDecides, "worker", p.Queue, "from", d.From, "to", d.Desired, "wanted", d.Wanted, "reason", reason)
		poke(a.node.look)
	}
	return err
}

// PolicyOf is a pool's policy. room is how many slots the database has connections for.
func PolicyOf(p scaling.Pool, batch, room int) autoscaler.Policy {
	policy := autoscaler.Policy{Min: p.Min, Max: p.Min, Drain: time.Duration(p.DrainSeconds * float64(time.Second)), Batch: batch, Room: max(room, 1)}
	if p.Max != nil {
		policy.Max = *p.Max
	}
	return policy
}

// CurveOf is the curve of a node's batches.
func CurveOf(w scaling.Work) autoscaler.Curve {
	return autoscaler.Curve{Weight: w.Batches, Size: w.Messages, SizeSq: w.Squares, Seconds: w.Seconds, Product: w.Products}
}

// Reason says in one line what stands behind a decision.
func Reason(d autoscaler.Decision) string {
	text := wording.Sprintf("%.1f/s arrive, %d wait, a slot does %.1f/s: %d wanted", d.Arrivals, d.Depth, d.Rate, d.Wanted)
	switch {
	case d.Hold != autoscaler.NoHold:
		return text + ", held by " + string(d.Hold)
	case d.Bound != autoscaler.NoBound:
		return text + ", bounded by " + string(d.Bound)
	}
	return text
}

// queue finds what is known of a queue; at first that is the curve that the leader before has written.
func (a *auto) queue(ctx context.Context, name string) (*autoQueue, error) {
	if q := a.queues[name]; q != nil {
		return q, nil
	}
	decisions, err := scaling.Decisions(ctx, a.node.DB)
	if err != nil {
		return nil, err
	}
	q := &autoQueue{work: map[string]scaling.Work{}}
	if d, found := decisions[name]; found {
		if err := json.Unmarshal(d.Curve, &q.curve); err != nil {
			q.curve = autoscaler.Curve{} // of a version that wrote it otherwise: measured anew
		}
	}
	a.queues[name] = q
	return q, nil
}

// sample is what was measured of a queue since the last one.
func (a *auto) sample(ctx context.Context, q *autoQueue, p scaling.Pool, set lanes.Set, state scaling.State, reports []scaling.Report, m scaling.Measured) (s autoscaler.Sample, err error) {
	s = autoscaler.Sample{At: a.node.Now(), Quarantined: m.Quarantined[p.Queue], Switching: set.Switching()}
	for _, r := range state.Living(reports) {
		if r.Queue == p.Queue {
			s.Running += r.Running
		}
	}
	s.Desired = s.Running
	if p.Desired != nil {
		s.Desired = *p.Desired
	}
	var batches autoscaler.Curve
	for _, w := range m.Work {
		if w.Queue != p.Queue {
			continue
		}
		s.Depth += w.Held
		q.batch = w.Batch
		was, known := q.work[w.Node]
		q.work[w.Node] = w
		if !known || was.Term != w.Term {
			if q.curve.Weight == 0 { // what it did before this leader looked is not of this interval, but tells how it works
				batches.Merge(CurveOf(w))
			}
			continue
		}
		did := w.Since(was)
		s.Acked += int(did.Acked)
		s.Returned += int(did.Returned)
		s.Retried += int(did.Retried)
		s.Away = s.Away || did.Deferred > 0
		s.Busy += time.Duration(max(did.Busy, did.Seconds) * float64(time.Second))
		batches.Merge(CurveOf(did))
	}
	if batches.Weight > 0 {
		q.curve.Scale(math.Exp(-s.At.Sub(q.read).Seconds() / curveMemory.Seconds()))
		q.curve.Merge(batches)
	}
	q.read, s.Curve = s.At, q.curve
	ready, blocked, err := a.ready(ctx, set)
	s.Depth, s.Blocked = s.Depth+ready, blocked
	return s, err
}

// ready asks the broker, over a session that is kept. What waits in lanes that are not consumed yet is backlog too.
func (a *auto) ready(ctx context.Context, set lanes.Set) (ready int, blocked bool, err error) {
	if a.session == nil || a.session.Err() != nil {
		if a.session, err = rabbitmq.Open(ctx, a.node.Broker); err != nil {
			a.session = nil
			return 0, false, err
		}
	}
	queues := append([]topology.QueueSpec{{Name: topology.QueueName(set.Queue)}}, topology.LaneQueues(set.Queue, set.Consumed)...)
	if set.Switching() {
		queues = append(queues, topology.LaneQueues(set.Queue, set.Routed)...)
	}
	for _, q := range queues {
		n, _, err := a.session.Depth(q.Name)
		if switched := errors.Is(err, rabbitmq.ErrMissing) && topology.IsLane(q.Name); err != nil && !switched {
			return 0, false, err
		}
		ready += n
	}
	_, blocked = a.session.Blocked()
	return ready, blocked, nil
}
