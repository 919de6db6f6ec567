package worker

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/lanes"
)

// # Lanes
//
// A worker whose queue is divided into lanes runs a consumer for each lane that this node owns, and no other slot. A
// lane's batches are handled one after the other; of all lanes of the node as many at a time as it has slots.
//
// A lane is left between two batches: its consumer is closed, which returns what the broker had sent ahead to the head
// of the lane, and then the lane is given up. (A consumer that is cancelled first, as other slots' are, would let the
// broker send newer messages to the next consumer while these are still in hand.) Package lanes has the invariants, and
// what a crash leaves.

const (
	// laneWait is how long a lane waits for messages before it looks for other work.
	laneWait = time.Second
	// returnTime is how long the broker may take to have back what a closed consumer had.
	returnTime = 5 * time.Second
)

const (
	logLaneLost  = "a lane has another owner; leaving it"
	logLaneEmpty = "a lane is empty; its queue will be deleted"
	logSentBack  = "messages for a lane come back: is its binding missing? waiting"
)

// Lanes sets what this process has to do with the lanes of its worker. It may be called before Run and while it runs.
func (r *Runner) Lanes(plan lanes.Plan) {
	r.target.mu.Lock()
	defer r.target.mu.Unlock()
	if r.due.Store(len(plan.Due) > 0); reflect.DeepEqual(r.target.plan, plan) {
		return
	}
	r.target.plan = plan
	r.target.change()
}

func (r *Runner) lanePlan() lanes.Plan {
	r.target.mu.Lock()
	defer r.target.mu.Unlock()
	return r.target.plan
}

// setLaneSlots counts the slots that share the lanes.
func (r *Runner) setLaneSlots(slots int) {
	added := int64(slots) - r.laneSlots.Swap(int64(slots))
	if added == 0 {
		return
	}
	r.running.Add(added)
	r.Metrics.slots.WithLabelValues(r.Worker.name).Add(float64(added))
	r.permits.Resize(slots)
	if r.Started != nil {
		r.Started()
	}
}

// noteDivided notes whether the worker has lanes and no slot beside them any more, begun or draining. The lock is held.
func (s *slotSet) noteDivided() {
	if is := s.lanePlan().On() && len(s.leave) == 0; s.divided.Swap(is) != is && s.Started != nil {
		s.Started()
	}
}

// laneSlot is the consumer of one lane, or of the entrance.
type laneSlot struct {
	*slot
	own     lanes.Lane
	lanes   int // that are consumed; 0: the entrance empties the worker's queue
	plan    atomic.Pointer[lanes.Plan]
	resumes bool // there may be parked events whose turn has come
}

// divide starts the lanes that this process owns, and lets it leave those that it is to give up: also those that it has
// not begun, or whose session was lost while it left, because no other process may give them up. The lock is held.
func (s *slotSet) divide(ctx context.Context, plan lanes.Plan) {
	for term, one := range s.lanes {
		if !slices.ContainsFunc(plan.Own, func(l lanes.Lane) bool { return l.Term == term && !l.Leaving }) {
			one.leave()
		}
	}
	for _, l := range plan.Own {
		if one, runs := s.lanes[l.Term]; runs {
			one.plan.Store(&plan)
			continue
		}
		s.startLane(ctx, l, plan)
		if l.Leaving {
			s.lanes[l.Term].leave()
		}
	}
}

// runningLane is a lane that a slot set runs.
type runningLane struct {
	*laneSlot
	leave context.CancelFunc
}

// startLane starts a lane. The lock is held.
func (s *slotSet) startLane(ctx context.Context, l lanes.Lane, plan lanes.Plan) {
	one := &laneSlot{slot: s.newSlot(l.Number + 1), own: l, lanes: plan.Consumed, resumes: true}
	one.queue, one.lane, one.processor.lane = topology.QueueName(l.Queue), one, &one.own
	if l.Number != lanes.Entrance {
		one.queue = topology.LaneQueueName(l.Queue, l.Number, plan.Consumed)
	}
	one.plan.Store(&plan)
	leaving, leave := context.WithCancel(ctx)
	s.lanes[l.Term] = runningLane{one, leave}
	s.group.Go(func() error {
		defer leave()
		err := one.run(ctx, leaving)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.lanes, l.Term)
		return err
	})
}

// run handles the lane until leaving is done, and then gives it up; or until ctx is done or the session is lost.
func (l *laneSlot) run(ctx, leaving context.Context) error {
	for leaving.Err() == nil {
		err := l.consumeUntilIdle(ctx, leaving)
		if err == nil && leaving.Err() == nil {
			err = l.noteDrained(ctx)
		}
		if errors.Is(err, lanes.ErrLost) {
			l.Log.Warn(logLaneLost, "lane", l.own.Number, "error", err)
			return nil
		}
		if err != nil || ctx.Err() != nil {
			return l.endedBy(ctx, err)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return l.whileUnserved(ctx, func() error { return lanes.Release(ctx, l.DB, l.own) })
}

// consumeUntilIdle handles the lane with one consumer, until leaving is done, or until nothing comes and nothing more
// can come.
func (l *laneSlot) consumeUntilIdle(ctx, leaving context.Context) error {
	l.ahead = min(l.Worker.prefetch, 2*l.Worker.batch)
	consumer, err := l.session.Consume(l.queue, l.tag(l.number), l.ahead)
	if err != nil {
		return err
	}
	defer consumer.Close()
	defer l.works.opened(consumer)()
	for leaving.Err() == nil {
		waiting, cancel := context.WithTimeout(leaving, laneWait)
		deliveries, err := l.take(waiting, consumer)
		cancel()
		switch {
		case err == nil:
			err = l.handle(ctx, leaving, consumer, deliveries)
		case errors.Is(err, context.DeadlineExceeded):
			if err = l.resumeDue(ctx); err == nil && l.mayBeDrained() {
				return nil
			}
		case leaving.Err() != nil:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// handle brings what was taken to its outcome, as one of the node's slots.
func (l *laneSlot) handle(ctx, leaving context.Context, consumer *rabbitmq.Consumer, deliveries []rabbitmq.Delivery) error {
	if !l.permits.Acquire(leaving) {
		return nil // they return to the lane with the consumer
	}
	defer l.permits.Release()
	batches, err := l.batches(ctx, deliveries)
	if err != nil {
		return err
	}
	for _, batch := range batches {
		if err := l.finishOne(ctx, leaving, consumer, batch); err != nil {
			return err
		}
		if leaving.Err() != nil {
			return nil
		}
	}
	return l.resumeDue(ctx)
}

// resumeDue handles parked events of the lane.
func (l *laneSlot) resumeDue(ctx context.Context) error {
	lane, of := l.own.Number, l.lanes
	if lane == lanes.Entrance {
		lane, of = 0, 1
		if l.lanes > 0 {
			return nil
		}
	}
	plan := l.plan.Load()
	if !l.resumes && !slices.ContainsFunc(plan.Due, func(value int) bool { return value%of == lane }) {
		return nil
	}
	all, err := l.resume(ctx, lane, of)
	l.resumes = !all
	if all && len(plan.Due) > 0 {
		done := *plan
		done.Due = nil // until the next plan says so again
		l.plan.CompareAndSwap(plan, &done)
	}
	return err
}

// mayBeDrained tells whether the lane is to be looked at: nothing comes into it any more, and this one was not yet
// found empty. An entrance that puts messages into lanes has nothing under way by now.
func (l *laneSlot) mayBeDrained() bool {
	plan := l.plan.Load()
	if l.own.Drained || !plan.Switching() || plan.Consumed != l.lanes {
		return false
	}
	if l.own.Number == lanes.Entrance && l.lanes > 0 {
		return plan.Unbound != nil
	}
	return plan.Quiet
}

// noteDrained says that the lane is empty, if it is. The consumer is closed, so that the broker has all messages back.
func (l *laneSlot) noteDrained(ctx context.Context) error {
	if l.own.Number != lanes.Entrance || l.lanes == 0 {
		for end := time.Now().Add(returnTime); ; {
			ready, consumers, err := l.session.Depth(l.queue)
			if err != nil {
				return err
			}
			if consumers == 0 && ready == 0 {
				break
			}
			if ready > 0 || time.Now().After(end) || !clock.Sleep(ctx, firstBackoff) {
				clock.Sleep(ctx, firstBackoff)
				return nil
			}
		}
	}
	err := l.whileUnserved(ctx, func() error { return lanes.Drained(ctx, l.DB, l.own) })
	if err == nil {
		l.own.Drained = true
		l.Log.Info(logLaneEmpty, "lane", l.own.Number, "of", l.lanes)
	}
	return err
}

// resumeUnlaned handles parked events of a worker without lanes: what was held while it had some.
func (s *slotSet) resumeUnlaned(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resuming {
		return
	}
	s.resuming = true
	one := s.newSlot(0)
	s.group.Go(func() error {
		all, err := one.resume(ctx, 0, 1)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.resuming = false
		s.due.Store(!all)
		return one.endedBy(ctx, err)
	})
}
