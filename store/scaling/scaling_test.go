package scaling_test

import (
	"context"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/store/storetest"
)

var ann = operatorlog.By{Operator: "ann", Reason: "stock take"}

func node(id string) scaling.Node {
	return scaling.Node{ID: id, Host: "h", PID: 1, Version: "1", Capacity: 10, Queues: pq.StringArray{"ledger", "lots"}, FlagSlots: pq.Int64Array{2, 1}}
}

func register(p *storetest.Env, id string) scaling.Node {
	p.Helper()
	n, err := scaling.Register(p.Context(), p.DB, node(id))
	storetest.Must(p, err)
	return n
}

// planned is how many slots a node is to run of the ledger's queue.
func planned(p *storetest.Env, n scaling.Node) int {
	p.Helper()
	return plannedOf(p, n).Slots
}

func plannedOf(p *storetest.Env, n scaling.Node) scaling.Planned {
	p.Helper()
	plan, err := scaling.Renew(p.Context(), p.DB, n)
	storetest.Must(p, err)
	for _, one := range plan {
		if one.Queue == "ledger" {
			return one
		}
	}
	p.Fatalf("%s is not told of the ledger: %+v", n.ID, plan)
	return scaling.Planned{}
}

func scale(p *storetest.Env, desired *int, within time.Duration) (before, after scaling.Pool) {
	p.Helper()
	was, is, err := scaling.Scale(p.Context(), p.DB, ann, []scaling.Change{{Queue: "ledger", Desired: desired, For: within}})
	storetest.Must(p, err)
	return was[0], is[0]
}

func lease(p *storetest.Env, holder string) store.Lease {
	p.Helper()
	l, err := store.AcquireLease(p.Context(), p.DB, "scaler", holder)
	storetest.Must(p, err)
	return l
}

// all gives a node all that is desired of the ledger.
func all(id string) func(scaling.State) scaling.Slots {
	return func(s scaling.State) scaling.Slots {
		if d := s.Pool("ledger").Desired; d != nil && *d > 0 {
			return scaling.Slots{"ledger": {id: *d}}
		}
		return scaling.Slots{}
	}
}

func assign(p *storetest.Env, l store.Lease, decide func(scaling.State) scaling.Slots) (changed bool) {
	p.Helper()
	changed, err := scaling.Assign(p.Context(), p.DB, l, func(s scaling.State, _ []scaling.Report) scaling.Slots { return decide(s) })
	storetest.Must(p, err)
	return changed
}

func number(n int) *int { return &n }

// A node follows its flags until the leader has assigned the queue's slots, and again when it is given back.
func TestFlagsCountUntilTheLeaderAssigns(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	one, two := register(p, "one"), register(p, "two")
	check := func(when string, first, second int) {
		t.Helper()
		if a, b := planned(p, one), planned(p, two); a != first || b != second {
			t.Errorf("%s: planned are %d and %d, want %d and %d", when, a, b, first, second)
		}
	}
	fleet := func(when string, want int) {
		t.Helper()
		for _, n := range []scaling.Node{one, two} {
			if got := plannedOf(p, n).Fleet; got != want {
				t.Errorf("%s: %s is told of %d slots in the fleet, want %d", when, n.ID, got, want)
			}
		}
	}
	check("at first", 2, 2)
	fleet("at first", 4)
	scale(p, number(5), 0)
	check("before the leader has looked", 2, 2)
	l := lease(p, "one")
	if !assign(p, l, all("two")) || assign(p, l, all("two")) {
		t.Error("the first assignment changes something, the second nothing")
	}
	check("assigned", 0, 5)
	fleet("assigned", 5)
	for _, paused := range []bool{true, false} {
		storetest.MustGet(scaling.Pause(t.Context(), p.DB, ann, "ledger", paused))(t)
		check("paused, or still on two", 0, 0)
		storetest.MustGet(scaling.PauseOn(t.Context(), p.DB, ann, "two", "ledger", paused))(t)
		check("paused on two, or still draining", 0, 0)
		storetest.MustGet(scaling.Drain(t.Context(), p.DB, ann, "two", paused))(t)
		check("drained or not", 0, map[bool]int{true: 0, false: 5}[paused])
		if changed := storetest.MustGet(scaling.Drain(t.Context(), p.DB, ann, "two", paused))(t); changed {
			t.Error("a drain that changes nothing changed something")
		}
		if !assign(p, l, all("two")) || assign(p, l, all("two")) {
			t.Error("after a node's change the leader assigns the pool once, though its slots stay: commands wait for that")
		}
	}
	scale(p, nil, 0)
	assign(p, l, all("two"))
	check("given back", 2, 2)
	fleet("given back", 4)
	events := storetest.MustGet(scaling.Events(t.Context(), p.DB, "ledger", 10))(t)
	if len(events) != 4 || events[3].By != "ann" || *events[3].After != 5 || events[2].Node != "two" || *events[2].After != 5 || *events[0].After != 0 {
		t.Errorf("the events are %+v", events)
	}
	entries := storetest.MustGet(operatorlog.List(t.Context(), p.DB, operatorlog.Query{}))(t)
	if len(entries) != 8 || entries[7].Action != "scale" || entries[7].Reason != "stock take" || string(entries[7].After) != `{"slots": 5}` {
		t.Errorf("the operator log has %d entries, the first is %+v", len(entries), entries[len(entries)-1])
	}
}

// A leader whose term is over writes nothing; while one writes, no other term can begin.
func TestTwoLeadersNeverAssignAtOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	register(p, "one")
	scale(p, number(3), 0)
	old := lease(p, "old")
	p.Expire("scaler")
	deciding, next := make(chan struct{}), make(chan store.Lease, 1)
	storetest.Concurrently(t, func(ctx context.Context) error {
		_, err := scaling.Assign(ctx, p.DB, old, func(s scaling.State, _ []scaling.Report) scaling.Slots {
			close(deciding)
			p.AwaitLockWaiters(1) // the other waits for this one's commit
			return all("one")(s)
		})
		return err
	}, func(ctx context.Context) error {
		<-deciding
		l, err := store.AcquireLease(ctx, p.DB, "scaler", "new")
		next <- l
		return err
	})
	if n := storetest.One[int](t, p.SQL(), `SELECT slots FROM worker_assignment`); n != 3 {
		t.Errorf("the first has assigned %d slots, want 3", n)
	}
	scale(p, number(4), 0)
	_, err := scaling.Assign(t.Context(), p.DB, old, func(s scaling.State, _ []scaling.Report) scaling.Slots { return all("one")(s) })
	storetest.IsError(t, err, store.ErrNotLeader)
	if n := storetest.One[int](t, p.SQL(), `SELECT slots FROM worker_assignment`); n != 3 {
		t.Errorf("a leader whose term is over has assigned %d slots", n)
	}
	if !assign(p, <-next, all("one")) {
		t.Error("the new leader assigns nothing")
	}
}

func TestALeaseOfANode(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	alive := func(id string) (alive, draining bool) {
		s, _, err := scaling.Read(t.Context(), p.DB)
		storetest.Must(t, err)
		for _, n := range s.Nodes {
			if n.ID == id {
				return n.Alive, n.Draining
			}
		}
		return false, false
	}
	first := register(p, "x")
	if second := register(p, "x"); second.ID != "x-2" {
		t.Errorf("beside a living node of its id the second is %s", second.ID)
	}
	storetest.MustGet(scaling.Drain(t.Context(), p.DB, ann, "x", true))(t)
	for name, until := range map[string]string{"ended": "clock_timestamp() - interval '1 second'", "before the clock was set back": "clock_timestamp() + interval '1 hour'"} {
		p.Exec(`UPDATE worker_node SET lease_until = ` + until + ` WHERE id = 'x'`)
		if is, _ := alive("x"); is {
			t.Errorf("%s: it is alive", name)
		}
		planned(p, first) // renews
		if is, draining := alive("x"); !is || !draining {
			t.Errorf("%s and renewed: alive %t, draining %t", name, is, draining)
		}
	}
	p.Exec(`UPDATE worker_node SET lease_until = clock_timestamp() - interval '1 second' WHERE id = 'x'`)
	later := register(p, "x")
	if _, draining := alive("x"); later.ID != "x" || later.Term != first.Term+1 || draining {
		t.Errorf("a later process of the id is %+v, draining %t", later, draining)
	}
	_, err := scaling.Renew(t.Context(), p.DB, first)
	storetest.IsError(t, err, store.ErrNotLeader)
	storetest.Must(t, scaling.Leave(t.Context(), p.DB, first)) // is not the later one's
	if is, _ := alive("x"); !is {
		t.Error("the later process has left with the first")
	}
	storetest.Must(t, scaling.Leave(t.Context(), p.DB, later))
	if is, _ := alive("x"); is {
		t.Error("it has left and is alive")
	}
}

func TestAnOverrideEnds(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	register(p, "one")
	l := lease(p, "one")
	desired := func() *int {
		s, _, err := scaling.Read(t.Context(), p.DB)
		storetest.Must(t, err)
		return s.Pool("ledger").Desired
	}
	passed := func() {
		t.Helper()
		p.Exec(`UPDATE worker_pool SET override_until = clock_timestamp() WHERE override_until IS NOT NULL`)
		assign(p, l, all("one"))
	}
	scale(p, number(8), time.Hour)
	scale(p, number(9), time.Hour) // what was before the first counts in the end
	assign(p, l, all("one"))
	passed()
	if got := desired(); got != nil {
		t.Errorf("after an override of the flags %d slots are desired", *got)
	}
	scale(p, number(2), 0)
	if _, is := scale(p, number(8), time.Hour); is.Until == nil || time.Until(*is.Until) < 50*time.Minute {
		t.Errorf("it ends at %v", is.Until)
	}
	passed()
	if got := desired(); got == nil || *got != 2 {
		t.Errorf("after the override %v slots are desired, want 2", got)
	}
	scale(p, number(8), time.Hour)
	scale(p, number(5), 0)
	passed()
	if got := desired(); got == nil || *got != 5 {
		t.Errorf("a number without an end is %v after the one before would have ended, want 5", got)
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM scale_event WHERE reason LIKE '%--for%'`); n != 2 {
		t.Errorf("%d events tell of the ends of overrides, want 2", n)
	}
}
