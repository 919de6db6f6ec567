package scaler

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/composerp/composerp/exchange/clock"
	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/lanes"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/workers/runtime/autoscaler"
	"github.com/composerp/composerp/workers/worker"
)

// LeaseName is the lease that the nodes of a fleet compete for.
const LeaseName = "scaler"

const (
	// poll is how soon a change is seen whose notification was lost; leases must be renewed more often than they end.
	poll = time.Second
	// syncTimeout bounds one round; a database that hangs is away.
	syncTimeout = 5 * time.Second
	// leaveTimeout is how long a process that ends tries to say so.
	leaveTimeout = 3 * time.Second
)

// Node is this process. DB and Runners are needed; the node calls Scale of the runners, and their Run is its caller's.
type Node struct {
	DB *store.DB // at least five connections
	// Hints, if set, receives when there may be something to read (scaling.Channel); without it the node polls.
	Hints <-chan struct{}
	// Self has the id that is wished for, host, process id, version, capacity and labels.
	Self    scaling.Node
	Runners []*worker.Runner
	// Ordered are the ordered workers of the whole fleet, whose lanes the leader switches; nil: those of Runners.
	Ordered []topology.Subscription
	Broker  rabbitmq.Config // asked by the leader for the depth of queues in mode auto, and for lanes
	Metrics *Metrics        // nil: none
	Log     *slog.Logger
	// Interval is how often the leader decides for pools in mode auto; 0: autoscaler.Interval. Now is the clock of these
	// decisions; nil: time.Now.
	Interval time.Duration
	Now      func() time.Time
	// Rest is how long a queue rests before the leader moves one of its slots to a node with fewer; 0: 10 s.
	Rest time.Duration
	// Ready, if set, is called once, when all slots that the node is to run at first do.
	Ready func()

	changed chan struct{} // a slot has begun or ended
	look    chan struct{} // the leader is to look now
	// The same for lanes: to assign them, and to take the next step of a switch.
	lanesLook, lanesStep chan struct{}
	ready                bool
	said                 []scaling.Report
	saidAt               time.Time
	did                  []scaling.Work
	didAt                time.Time
}

// Attach makes the runners tell the node of their slots. Call it before they run.
func (n *Node) Attach() {
	n.changed, n.look = make(chan struct{}, 1), make(chan struct{}, 1)
	n.lanesLook, n.lanesStep = make(chan struct{}, 1), make(chan struct{}, 1)
	every := n.Ordered == nil
	for _, r := range n.Runners {
		if sub := r.Worker.Subscription(); every && sub.Ordered {
			n.Ordered = append(n.Ordered, sub)
		}
		n.Self.Queues = append(n.Self.Queues, r.Worker.Name())
		n.Self.FlagSlots = append(n.Self.FlagSlots, int64(max(1, r.Slots)))
		r.Scale(0, 0)
		r.Started, r.Ended = n.slotsChanged, n.slotsChanged
	}
}

func (n *Node) slotsChanged() { poke(n.changed) }

// poke sends unless something waits already.
func poke(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

const (
	logNodeWaits  = "this node keeps its slots as they are: the database does not answer"
	logNodeLost   = "this node was forgotten; registering it again"
	logNoLeader   = "the scaler does not lead for now"
	logNodeScales = "slots of a worker change"
)

// Run keeps the slots of this process as they are assigned, until ctx is done; then it leaves. It leads while it holds
// the lease. It returns an error only for a fault that waiting does not repair: a wrong password, a missing table.
func (n *Node) Run(ctx context.Context) error {
	n.Interval = cmp.Or(n.Interval, autoscaler.Interval)
	if n.Now == nil {
		n.Now = time.Now
	}
	led, holder := make(chan struct{}), n.Self.ID
	go func() {
		defer close(led)
		store.Lead(ctx, n.DB, LeaseName, holder, n.lead, func(err error) { n.Log.Error(logNoLeader, "error", err) })
	}()
	err := n.follow(ctx)
	<-led
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	_ = scaling.Leave(leaving, n.DB, n.Self) // else the lease ends by itself
	return err
}

// lead assigns slots while the lease is held, and beside that decides for pools in mode auto.
func (n *Node) lead(ctx context.Context, lease store.Lease) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { (&auto{node: n, queues: map[string]*autoQueue{}}).run(ctx, lease) })
	beside.Go(func() { n.divide(ctx, lease) })
	defer func() { cancel(); beside.Wait() }()
	shares := newSharer(cmp.Or(n.Rest, shareRest))
	decide := func(s scaling.State, reports []scaling.Report) scaling.Slots {
		return shares.decide(time.Now(), s, reports)
	}
	for ctx.Err() == nil {
		if _, err := scaling.Assign(ctx, n.DB, lease, decide); err != nil && !errors.Is(err, store.ErrRetryable) {
			return err
		}
		timer := time.NewTimer(poll)
		select {
		case <-ctx.Done():
		case <-n.look:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

func (n *Node) follow(ctx context.Context) error {
	waits, registered, timer := clock.Seldom{}, false, time.NewTicker(n.period())
	defer timer.Stop()
	for ctx.Err() == nil {
		err := n.round(ctx, &registered)
		switch {
		case err == nil:
			waits.Reset()
		case ctx.Err() != nil:
		case errors.Is(err, store.ErrNotLeader):
			n.Log.Warn(logNodeLost, "error", err)
			registered = false
		case !registered && !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrRetryable) && !errors.Is(err, context.DeadlineExceeded):
			return err
		case waits.Due():
			n.Log.Warn(logNodeWaits, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-n.Hints:
			poke(n.look)
			poke(n.lanesLook)
			poke(n.lanesStep)
		case <-n.changed:
		case <-timer.C:
		}
	}
	return nil
}

// round registers the node where it is not, and brings plan, slots and report together.
func (n *Node) round(ctx context.Context, registered *bool) (err error) {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	if !*registered {
		if n.Self, err = scaling.Register(ctx, n.DB, n.Self); err != nil {
			return err
		}
		*registered, n.did = true, nil
	}
	planned, err := scaling.Renew(ctx, n.DB, n.Self)
	if err != nil {
		return err
	}
	plans, err := n.plans(ctx)
	if err != nil {
		return err
	}
	reports := n.apply(planned, plans)
	if err := n.sayWork(ctx); err != nil {
		return err
	}
	if slices.Equal(reports, n.said) && time.Since(n.saidAt) < scaling.NodeTTL/3 {
		return nil
	}
	if err := scaling.Say(ctx, n.DB, n.Self, reports); err != nil {
		return err
	}
	n.said, n.saidAt = reports, time.Now()
	return nil
}

// period is the time between two rounds without a change.
func (n *Node) period() time.Duration { return min(poll, n.Interval) }

// sayWork records what the slots have done since the last round. Rounds are shorter than the leader's intervals: an
// interval without a report would look as if the slots stood still.
func (n *Node) sayWork(ctx context.Context) error {
	if time.Since(n.didAt) < n.period()/2 { // this round has come early, by a hint
		return nil
	}
	works := make([]scaling.Work, len(n.Runners))
	for i, r := range n.Runners {
		done, held := r.Work()
		works[i] = scaling.Work{Queue: r.Worker.Name(), Batch: r.Worker.FullBatch(), Held: held,
			Acked: done.Acked, Returned: done.Returned, Retried: done.Retried, Deferred: done.Deferred,
			Batches: done.Batches.Weight, Messages: done.Batches.Size, Squares: done.Batches.SizeSq,
			Seconds: done.Batches.Seconds, Products: done.Batches.Product, Busy: done.Busy}
	}
	news := slices.DeleteFunc(slices.Clone(works), func(w scaling.Work) bool { return slices.Contains(n.did, w) })
	if len(news) == 0 {
		return nil
	}
	if err := scaling.Did(ctx, n.DB, n.Self, news); err != nil {
		return err
	}
	n.did, n.didAt = works, time.Now()
	return nil
}

// plans reads what the node has to do with lanes; nothing where it runs no ordered worker.
func (n *Node) plans(ctx context.Context) ([]lanes.Plan, error) {
	if !slices.ContainsFunc(n.Runners, func(r *worker.Runner) bool { return r.Worker.Subscription().Ordered }) {
		return nil, nil
	}
	return lanes.Plans(ctx, n.DB, n.Self)
}

// apply sets the workers' lanes and slots, and returns what they do.
func (n *Node) apply(planned []scaling.Planned, plans []lanes.Plan) []scaling.Report {
	reports := make([]scaling.Report, 0, len(planned))
	settled := true
	for _, p := range planned {
		for _, r := range n.Runners {
			if r.Worker.Name() != p.Queue {
				continue
			}
			for _, plan := range plans {
				if r.Worker.Subscription().Ordered && plan.Queue == p.Queue {
					r.Lanes(plan) // before the slots: none begins beside lanes
				}
			}
			if r.Scale(p.Slots, p.Fleet) {
				n.Log.Info(logNodeScales, "worker", p.Queue, "slots", p.Slots)
			}
			does := r.Activity()
			settled = settled && does.Running >= p.Slots
			reports = append(reports, scaling.Report{Node: n.Self.ID, Planned: p, Running: does.Running, Busy: does.Busy, Seq: does.Seq, InLanes: does.InLanes})
		}
	}
	if settled && !n.ready {
		n.ready = true
		if n.Ready != nil {
			n.Ready()
		}
	}
	return reports
}
