package worker

import (
	"cmp"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/workers/worker/timing"
)

// # Slots that come and go
//
// Runner.Scale changes the number of slots while the worker runs. A slot that is
// to go drains: it cancels its consumer, brings what the broker had sent ahead to
// an outcome, acknowledges it and ends.
//
// Invariants:
//
//   - A slot that drains returns no message. It cancels its consumer only once the broker
//     has sent what the prefetch allows or all that the queue has, and acknowledges nothing
//     meanwhile. One message can be on its way all the same: the first to an empty queue,
//     published at that very moment; it comes again, and counts one more delivery.
//   - Draining takes as long as the messages in hand need. Until then the slot counts as
//     running, and its number is not given to another.
//   - A new session begins with the number that is wanted then. Slots that drained
//     when the session was lost do not come back; their messages do, to the others.
//   - Without a slot the session stays open, so that the next slot begins at once.
//
// A process that dies while a slot drains leaves what a death always leaves: the
// broker delivers again what was not acknowledged.
//
// # Prefetch
//
// What the broker has sent ahead to one slot, no other can take. A slot that is alone in the fleet
// hides nothing from others, and has the worker's prefetch. Beside others it has what it
// handles in prefetchTime in full batches, reckoned from the last batches of this process; at
// least two batches, so that one is here while the other is handled; at most the worker's.
// Before the first batch that is two batches.
//
// AMQP cannot change the prefetch of a running consumer. Between two batches a slot whose
// prefetch is off by a factor of two cancels its consumer, finishes what it has, and
// consumes anew. It does so only while it has messages waiting, for else its prefetch
// hides nothing and holds nothing up, and not again within refitPause.
//
// Invariants:
//
//   - No message is returned, and none counts one more delivery, but the one that a slot that
//     drains can return too.
//   - The slot counts as running throughout, and keeps its number.
//   - A slot that is to go while it changes its prefetch goes: its next consumer is not opened, or
//     is cancelled at once.
//
// A crash or a lost session before or after the cancellation leaves what it always leaves; between two
// consumers the slot holds no message.

// target is how many slots a worker is to have.
type target struct {
	mu      sync.Mutex
	set     bool // else Runner.Slots counts
	slots   int
	fleet   int           // slots of the worker in all processes
	plan    lanes.Plan    // of an ordered worker
	changed chan struct{} // closed with the next change
}

// change tells Run of a change. The lock is held.
func (t *target) change() {
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// Scale sets how many slots the worker has in this process, 0 for none, and how many in the whole fleet, these
// included. It reports whether the first is another number. It returns at once: Activity tells how many there are. It
// may be called before Run and while it runs.
func (r *Runner) Scale(slots, fleet int) (changed bool) {
	r.target.mu.Lock()
	defer r.target.mu.Unlock()
	r.target.fleet = fleet
	if r.target.set && r.target.slots == slots {
		return false
	}
	r.target.set, r.target.slots = true, max(0, slots)
	r.target.change()
	return true
}

// wanted is how many slots there are to be, here and in the fleet, and a channel that is closed when the first changes.
func (r *Runner) wanted() (slots, fleet int, changed <-chan struct{}) {
	r.target.mu.Lock()
	defer r.target.mu.Unlock()
	if r.target.changed == nil {
		r.target.changed = make(chan struct{})
	}
	if !r.target.set {
		return r.Slots, r.Slots, r.target.changed
	}
	return r.target.slots, max(r.target.slots, r.target.fleet), r.target.changed
}

const (
	prefetchTime = time.Second      // of a slot's work that may wait at it
	refitPause   = 10 * time.Second // between two changes of a slot's prefetch
)

// prefetch is how many messages a slot should be sent ahead.
func (r *Runner) prefetch() int {
	if _, fleet, _ := r.wanted(); fleet <= 1 {
		return r.Worker.prefetch
	}
	return min(r.Worker.prefetch, max(2*r.Worker.batch, int(r.works.rate(r.Worker.batch)*prefetchTime.Seconds())))
}

// Activity is what a worker's slots do in this process.
type Activity struct {
	Running int // slots that consume or drain
	Busy    int // those with messages in hand
	// Seq is the highest log position of the messages taken; 0 before the first that came through the log.
	Seq int64
	// InLanes tells that all of the slots share the lanes of this process: none handles the worker's queue beside others.
	InLanes bool
}

// Activity tells what the worker's slots do now.
func (r *Runner) Activity() Activity {
	return Activity{Running: int(r.running.Load()), Busy: int(r.busy.Load()), Seq: r.seq.Load(), InLanes: r.divided.Load()}
}

// began and ended count a slot that consumes.
func (r *Runner) began() {
	r.running.Add(1)
	r.Metrics.slots.WithLabelValues(r.Worker.name).Inc()
	if r.Started != nil {
		r.Started()
	}
}

func (r *Runner) ended() {
	r.running.Add(-1)
	r.Metrics.slots.WithLabelValues(r.Worker.name).Dec()
	if r.Ended != nil {
		r.Ended()
	}
}

// taken counts the slot as busy with messages; done ends that.
func (r *Runner) taken(deliveries []rabbitmq.Delivery) (done func()) {
	r.busy.Add(1)
	if newest := deliveries[len(deliveries)-1].LogSeq(); newest > r.seq.Load() {
		r.seq.Store(newest) // two slots at once: the lower one is as good, it only dates the backlog
	}
	return func() { r.busy.Add(-1) }
}

// slotSet are the slots of one session.
type slotSet struct {
	*Runner
	session   *rabbitmq.Session
	publisher *rabbitmq.Publisher
	group     *errgroup.Group

	mu    sync.Mutex
	leave map[int]context.CancelFunc // by number; nil for a slot that drains
	kept  int                        // those that do not drain

	lanes    map[int64]runningLane // by term
	resuming bool                  // parked events are handled beside the slots
}

// consume runs the slots of one session. The first slot that fails ends it.
func (r *Runner) consume(ctx context.Context, session *rabbitmq.Session) error {
	publisher, err := session.Publisher(publishWindow)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	slots := &slotSet{Runner: r, session: session, publisher: publisher, group: g, leave: map[int]context.CancelFunc{}, lanes: map[int64]runningLane{}}
	defer r.setLaneSlots(0)
	var due <-chan time.Time
	if r.Worker.ordered {
		ticker := time.NewTicker(laneWait)
		defer ticker.Stop()
		due = ticker.C
	}
	for {
		wanted, _, changed := r.wanted()
		slots.resize(ctx, wanted)
		select {
		case <-changed:
		case <-due:
			if r.due.Load() && !r.lanePlan().On() {
				slots.resumeUnlaned(ctx)
			}
		case <-session.Done():
			return cmp.Or(g.Wait(), session.Err())
		case <-ctx.Done():
			return g.Wait()
		}
	}
}

// resize starts slots, with the lowest numbers that are free, or lets those with the highest drain. With lanes it
// starts and leaves lanes instead, which share the slots.
func (s *slotSet) resize(ctx context.Context, wanted int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.noteDivided()
	plan := s.lanePlan()
	s.divide(ctx, plan)
	if plan.On() {
		s.setLaneSlots(wanted)
		wanted = 0
	} else {
		s.setLaneSlots(0)
	}
	for number := 1; s.kept < wanted; number++ {
		if _, taken := s.leave[number]; !taken {
			s.start(ctx, number)
		}
	}
	for s.kept > wanted {
		last := 0
		for number, leave := range s.leave {
			if leave != nil {
				last = max(last, number)
			}
		}
		s.leave[last]()
		s.leave[last] = nil
		s.kept--
	}
}

// start starts a slot. The lock is held.
func (s *slotSet) start(ctx context.Context, number int) {
	leaving, leave := context.WithCancel(ctx)
	s.leave[number] = leave
	s.kept++
	one := s.newSlot(number)
	s.group.Go(func() error {
		defer leave()
		defer s.end(number)
		return one.consume(ctx, leaving)
	})
}

func (s *slotSet) newSlot(number int) *slot {
	processing := s.processor
	processing.batch = timing.NewBatch(&s.locks)
	return &slot{Runner: s.Runner, processor: processing, queue: s.Worker.queue, number: number, session: s.session, publisher: s.publisher, pauses: newBackoff()}
}

// end frees a slot's number. A slot that ends by itself has failed, and the session with it.
func (s *slotSet) end(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leave, number)
	s.noteDivided()
}
