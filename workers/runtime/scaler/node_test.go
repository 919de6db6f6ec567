package scaler_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/scaler"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// fleet is an environment with nodes that run one worker, echo: it emits an event for each that it handles.
type fleet struct {
	*workertest.Env
	worker worker.Worker
	// Of decisions for pools in mode auto; zero: as in earnest.
	interval time.Duration
	now      func() time.Time
	rest     time.Duration // before slots move; 0: as in earnest
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	return fleetOf(t, nil, worker.Batch(5, 20))
}

// fleetOf is a fleet whose handler calls before first, if there is one.
func fleetOf(t *testing.T, before func(context.Context), options ...worker.Option) *fleet {
	t.Helper()
	handle := worker.On(func(ctx context.Context, tx *worker.Tx, e event.Of[event.SaleCompleted]) error {
		if before != nil {
			before(ctx)
		}
		return tx.Emit(e.AggregateID, 0, event.InventoryLowStock{ItemID: "cup", LocationID: "shop", Available: event.NewDecimal(0), Threshold: event.NewDecimal(1)})
	})
	w := worker.New("echo", append([]worker.Option{handle}, options...)...)
	return &fleet{Env: workertest.NewEnv(t, w), worker: w}
}

// member is a node of the fleet in this process.
type member struct {
	*workertest.Part
	runner *worker.Runner
	id     string
}

// join starts a node, whose way to the tables of nodes leads by a URL of its own.
func (f *fleet) join(id, url string) *member {
	f.Helper()
	r := &worker.Runner{Worker: f.worker, DB: storetest.Open(f, f.URL, 12), Broker: f.Broker, Node: id, Slots: 1}
	db := storetest.Open(f, url, 3)
	m := &member{runner: r, id: id}
	m.Part = f.Start("node "+id, func(ctx context.Context, p *workertest.Part) error {
		r.Log, r.Metrics = p.Logs.Logger(), worker.NewMetrics(p.Metrics)
		n := &scaler.Node{DB: db, Hints: db.Listen(ctx, scaling.Channel), Runners: []*worker.Runner{r}, Log: p.Logs.Logger(),
			Broker: f.Broker, Metrics: scaler.NewMetrics(p.Metrics), Interval: f.interval, Now: f.now, Rest: f.rest,
			Self: scaling.Node{ID: id, Host: "test", Version: "test", Capacity: 10}}
		n.Attach()
		left := make(chan error, 1)
		go func() { left <- n.Run(ctx) }()
		if err := r.Run(ctx); err != nil {
			return err
		}
		return <-left
	})
	return m
}

func (m *member) slots() int { return m.runner.Activity().Running }

func (f *fleet) scale(slots int) {
	f.Helper()
	_, _, err := scaling.Scale(f.Context(), f.DB, by, []scaling.Change{{Queue: "echo", Desired: &slots}})
	f.Must(err)
}

// effects is how many sales have had their effect, and how many of these more than once.
func (f *fleet) effects() (all, doubled int) {
	f.Helper()
	return storetest.Value[int](f, f.URL, `SELECT count(*) FROM event_log WHERE publish`),
		storetest.Value[int](f, f.URL, `SELECT count(*) - count(DISTINCT event_id) FROM event_log WHERE publish`)
}

// Slots are spread, follow what is desired while messages flow, and move when a node leaves or drains; every event has
// its effect once, and none comes twice.
func TestSlotsFollowWhatIsDesired(t *testing.T) {
	t.Parallel()
	const n = 3000
	f := newFleet(t)
	one, two := f.join("one", f.URL), f.join("two", f.URL)
	run := func(first, second int) {
		t.Helper()
		f.Eventually(fmt.Sprintf("%d and %d slots run", first, second), func() bool { return one.slots() == first && two.slots() == second })
	}
	run(1, 1)
	f.Publish(workertest.Sales(t, n)...)
	for _, slots := range []int{1, 8, 2, 5} {
		f.scale(slots)
		f.Eventually(fmt.Sprintf("%d slots run", slots), func() bool { return one.slots()+two.slots() == slots })
	}
	f.scale(6)
	f.Eventually("6 slots run", func() bool { return one.slots()+two.slots() == 6 })
	storetest.MustGet(scaling.Drain(t.Context(), f.DB, by, "one", true))(t)
	run(0, 6)
	storetest.MustGet(scaling.Drain(t.Context(), f.DB, by, "one", false))(t)
	two.End()
	run(6, 0)
	f.Eventually("all have had their effect", func() bool { all, _ := f.effects(); return all >= n })
	if all, doubled := f.effects(); all != n || doubled != 0 {
		t.Errorf("%d effects, %d of them doubled, want %d once each", all, doubled, n)
	}
	for _, m := range []*member{one, two} {
		// A part that ends returns what it had not begun; one that drains nothing.
		if again := m.Messages("duplicate"); again != 0 {
			t.Errorf("node %s was sent %d messages that were handled already", m.id, again)
		}
	}
}

// A node that joins gets its share, one slot after the other, while messages flow; then nothing moves any more. Every
// event has its effect once.
func TestANodeThatJoinsGetsItsShare(t *testing.T) {
	t.Parallel()
	const n = 3000
	f := newFleet(t)
	f.rest = 300 * time.Millisecond
	one := f.join("one", f.URL)
	f.scale(7)
	f.Eventually("7 slots run", func() bool { return one.slots() == 7 })
	f.Publish(workertest.Sales(t, n)...)
	two := f.join("two", f.URL)
	f.Eventually("the new node has its share", func() bool { return one.slots() == 4 && two.slots() == 3 })
	changes := func() []scaling.Event {
		return storetest.MustGet(scaling.Events(t.Context(), f.DB, "echo", 100))(t)
	}
	moves := 0
	for _, e := range changes() {
		if e.Node == "two" {
			if moves++; *e.After != *e.Before+1 {
				t.Errorf("%d slots move at once", *e.After-*e.Before)
			}
		}
	}
	if moves != 3 {
		t.Errorf("there were %d moves to the new node, want 3", moves)
	}
	f.Eventually("all have had their effect", func() bool { all, _ := f.effects(); return all >= n })
	two.End() // its slots go back at once
	f.Eventually("7 slots run on the first", func() bool { return one.slots() == 7 })
	if all, doubled := f.effects(); all != n || doubled != 0 {
		t.Errorf("%d effects, %d of them doubled, want %d once each", all, doubled, n)
	}
	if again := one.Messages("duplicate"); again != 0 {
		t.Errorf("the first node was sent %d messages that were handled already", again)
	}
}

// A node that cannot reach the database's tables of nodes keeps its slots. Others take them over once its lease has
// ended; when it is back it finds that nothing is assigned to it, and its slots drain.
func TestANodeThatIsCutOffKeepsItsSlots(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	line := workertest.NewLink(f, f.URL)
	lonely := f.join("lonely", line.URL)
	f.scale(3)
	f.Eventually("3 slots run", func() bool { return lonely.slots() == 3 })
	other := f.join("other", f.URL)
	f.Eventually("the other has registered", func() bool {
		return storetest.Value[bool](f, f.URL, `SELECT EXISTS (SELECT FROM worker_report WHERE node = 'other' AND running = 0)`)
	})
	cut := time.Now()
	line.Break()
	f.Eventually("the other has taken over", func() bool { return other.slots() == 3 })
	if took := time.Since(cut); took < scaling.NodeTTL-2*time.Second {
		t.Errorf("it took over after %v, before the lease had ended", took)
	}
	if lonely.slots() != 3 {
		t.Errorf("cut off it has %d slots, want the 3 it had", lonely.slots())
	}
	f.Publish(workertest.Sales(t, 200)...)
	f.Eventually("all have had their effect", func() bool { all, _ := f.effects(); return all >= 200 })
	line.Restore()
	f.Eventually("its slots have drained", func() bool { return lonely.slots() == 0 })
	if all, doubled := f.effects(); all != 200 || doubled != 0 || other.slots() != 3 {
		t.Errorf("%d effects, %d of them doubled, %d slots of the other", all, doubled, other.slots())
	}
}

// A node that waits for the database at its start begins once it is there.
func TestANodeWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	line := workertest.NewLink(f, f.URL)
	db := storetest.Open(f, line.URL, 3)
	line.Break()
	r := &worker.Runner{Worker: f.worker, DB: storetest.Open(f, f.URL, 3), Broker: f.Broker, Slots: 2}
	ready := make(chan struct{})
	p := f.Start("node", func(ctx context.Context, p *workertest.Part) error {
		n := &scaler.Node{DB: db, Runners: []*worker.Runner{r}, Log: p.Logs.Logger(), Ready: func() { close(ready) },
			Self: scaling.Node{ID: "late", Host: "test", Version: "test", Capacity: 10}}
		n.Attach()
		go func() { _ = r.Run(ctx) }()
		return n.Run(ctx)
	})
	f.Eventually("it waits", func() bool { return p.Logs.Has("the database does not answer") })
	select {
	case <-ready:
		t.Error("it is ready without the database")
	default:
	}
	line.Restore()
	workertest.Wait(t, "it is ready", ready)
	if got := r.Activity().Running; got != 2 {
		t.Errorf("ready with %d slots, want 2", got)
	}
}

// A process of a version that knows no nodes runs by its flags, beside the nodes and not counted.
func TestAProcessThatIsNoNode(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	old := f.RunWorker(f.worker, 2)
	one := f.join("one", f.URL)
	f.scale(3)
	f.Eventually("3 slots run", func() bool { return one.slots() == 3 })
	f.Publish(workertest.Sales(t, 300)...)
	f.Eventually("all have had their effect", func() bool { all, _ := f.effects(); return all >= 300 })
	if all, doubled := f.effects(); all != 300 || doubled != 0 {
		t.Errorf("%d effects, %d of them doubled", all, doubled)
	}
	if slots := old.Metric("composerp_worker_slots", "worker", "echo"); slots != 2 {
		t.Errorf("the process that is no node has %v slots, want its 2", slots)
	}
}
