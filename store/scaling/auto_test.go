package scaling_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/store/storetest"
)

func auto(p *storetest.Env, c scaling.AutoChange) scaling.Pool {
	p.Helper()
	c.Queue = "ledger"
	return storetest.MustGet(scaling.SetAuto(p.Context(), p.DB, ann, c))(p)
}

func pool(p *storetest.Env) scaling.Pool {
	p.Helper()
	s, _, err := scaling.Read(p.Context(), p.DB)
	storetest.Must(p, err)
	return s.Pool("ledger")
}

var decision = scaling.Decision{Decision: json.RawMessage(`{"wanted": 3}`), Curve: json.RawMessage(`{"weight": 1}`)}

func decided(p *storetest.Env, l store.Lease, read scaling.Pool, desired int) (taken bool) {
	p.Helper()
	return storetest.MustGet(scaling.Decided(p.Context(), p.DB, l, read, desired, "a backlog", decision))(p)
}

func TestAPoolInModeAuto(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	bounds := func(is scaling.Pool, least, most int, drain float64) {
		t.Helper()
		if is.Mode != scaling.Auto || is.Min != least || is.Max == nil || *is.Max != most || is.DrainSeconds != drain {
			t.Errorf("the pool is %+v, want %d to %d slots and %v s", is, least, most, drain)
		}
	}
	bounds(auto(p, scaling.AutoChange{}), 1, 8, 60)
	half := 30 * time.Second
	bounds(auto(p, scaling.AutoChange{Min: number(0), Drain: &half}), 0, 8, 30)
	bounds(auto(p, scaling.AutoChange{Max: number(4)}), 0, 4, 30)
	_, err := scaling.SetAuto(t.Context(), p.DB, ann, scaling.AutoChange{Queue: "ledger", Min: number(5)})
	storetest.IsError(t, err, scaling.ErrBounds)
	bounds(pool(p), 0, 4, 30)

	decided(p, lease(p, "one"), pool(p), 3)
	for _, want := range []bool{true, false} {
		ended, is, err := scaling.EndAuto(t.Context(), p.DB, ann, "ledger")
		if err != nil || ended != want || is.Mode != scaling.Manual || *is.Desired != 3 {
			t.Errorf("ended %t with %+v and %v, want %t and the 3 slots that it has", ended, is, err, want)
		}
	}
	if ended, _, err := scaling.EndAuto(t.Context(), p.DB, ann, "lots"); ended || err != nil {
		t.Errorf("of a queue without a pool it ended %t with %v", ended, err)
	}
	bounds(auto(p, scaling.AutoChange{}), 0, 4, 30)
	scale(p, number(2), time.Hour)
	if is := pool(p); is.Mode != scaling.Auto {
		t.Errorf("an override puts it into mode %s", is.Mode)
	}
	scale(p, number(2), 0)
	if is := pool(p); is.Mode != scaling.Manual {
		t.Errorf("a number of an operator leaves it in mode %s", is.Mode)
	}
	entries := storetest.MustGet(operatorlog.List(t.Context(), p.DB, operatorlog.Query{}))(t)
	if len(entries) != 7 || entries[6].Action != "autoscale" || string(entries[6].After) != `{"max": 8, "min": 1, "mode": "auto", "slots": "flags", "drainSeconds": 60}` {
		t.Errorf("the operator log has %d entries, the first is %s of %s", len(entries), entries[len(entries)-1].Action, entries[len(entries)-1].After)
	}
}

// A number is taken only while the pool is as it was when the leader read it: what an operator does stands.
func TestADecisionIsTakenOnlyForThePoolAsItWasRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(p *storetest.Env) error{
		"scaled":     func(p *storetest.Env) error { scale(p, number(2), 0); return nil },
		"overridden": func(p *storetest.Env) error { scale(p, number(2), time.Hour); return nil },
		"bounded":    func(p *storetest.Env) error { auto(p, scaling.AutoChange{Max: number(2)}); return nil },
		"ended": func(p *storetest.Env) error {
			_, _, err := scaling.EndAuto(p.Context(), p.DB, ann, "ledger")
			return err
		},
		"paused": func(p *storetest.Env) error {
			_, err := scaling.Pause(p.Context(), p.DB, ann, "ledger", true)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := storetest.NewEnv(t, 4)
			l := lease(p, "one")
			read := auto(p, scaling.AutoChange{})
			storetest.Must(t, change(p))
			was := pool(p)
			if taken := decided(p, l, read, 5); taken {
				t.Error("a number was taken for a pool that has changed")
			}
			is := pool(p)
			if (is.Desired == nil) != (was.Desired == nil) || is.Desired != nil && *is.Desired != *was.Desired || is.Revision != was.Revision {
				t.Errorf("the pool was %+v and is %+v", was, is)
			}
		})
	}
}

func TestADecisionIsWrittenWithItsEvent(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	l := lease(p, "one")
	read := auto(p, scaling.AutoChange{})
	if !decided(p, l, read, 3) || decided(p, l, pool(p), 3) {
		t.Error("the first number is taken, the same again changes nothing")
	}
	if is := pool(p); *is.Desired != 3 || is.UpdatedBy != "autoscaler" || is.Reason != "a backlog" || is.Revision == is.Assigned {
		t.Errorf("the pool is %+v", is)
	}
	events := storetest.MustGet(scaling.Events(t.Context(), p.DB, "ledger", 10))(t)
	if len(events) != 1 || events[0].By != "autoscaler" || events[0].Before != nil || *events[0].After != 3 || events[0].Reason != "a backlog" {
		t.Errorf("the events are %+v", events)
	}
	last := storetest.MustGet(scaling.Decisions(t.Context(), p.DB))(t)["ledger"]
	if string(last.Decision) != string(decision.Decision) || string(last.Curve) != string(decision.Curve) || time.Since(last.At).Abs() > time.Minute {
		t.Errorf("the last decision is %+v", last)
	}
}

// While a leader writes a decision no other term begins, and one whose term is over writes nothing.
func TestTwoLeadersNeverDecideAtOnce(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 6)
	read := auto(p, scaling.AutoChange{})
	old := lease(p, "old")
	p.Expire("scaler")
	release := storetest.Lock(t, p.URL, `SELECT FROM worker_pool WHERE queue = 'ledger' FOR UPDATE`)
	next := make(chan store.Lease, 1)
	storetest.Concurrently(t, func(ctx context.Context) error {
		taken, err := scaling.Decided(ctx, p.DB, old, read, 3, "a backlog", decision)
		if err == nil && !taken {
			err = errors.New("the first leader's number was not taken")
		}
		return err
	}, func(ctx context.Context) error {
		p.AwaitLockWaiters(1) // the first leader waits for the pool, and holds its lease
		l, err := store.AcquireLease(ctx, p.DB, "scaler", "new")
		next <- l
		return err
	}, func(context.Context) error {
		p.AwaitLockWaiters(2)
		release()
		return nil
	})
	now := pool(p)
	if *now.Desired != 3 {
		t.Errorf("%d slots are desired, want the first leader's 3", *now.Desired)
	}
	before := storetest.MustGet(scaling.Decisions(t.Context(), p.DB))(t)["ledger"].At
	_, err := scaling.Decided(t.Context(), p.DB, old, now, 4, "a backlog", decision)
	storetest.IsError(t, err, store.ErrNotLeader)
	after := storetest.MustGet(scaling.Decisions(t.Context(), p.DB))(t)["ledger"].At
	if is := pool(p); *is.Desired != 3 || !after.Equal(before) {
		t.Errorf("a leader whose term is over has written: %d slots, decided at %v after %v", *is.Desired, after, before)
	}
	if !decided(p, <-next, now, 4) {
		t.Error("the new leader's number was not taken")
	}
}

// Work counts while its node lives, in its term, and goes with it.
func TestTheWorkOfNodesGoesWithThem(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	work := scaling.Work{Queue: "ledger", Batch: 200, Held: 7, Acked: 5, Returned: 2, Retried: 3, Deferred: 1,
		Batches: 1, Messages: 5, Squares: 25, Seconds: 0.5, Products: 2.5, Busy: 0.75}
	if none := (scaling.Work{Queue: "ledger", Batch: 200, Held: 7}); work.Since(work) != none || work.Since(none) != work {
		t.Errorf("since itself it is %+v, since nothing %+v", work.Since(work), work.Since(none))
	}
	did := func(n scaling.Node) {
		t.Helper()
		storetest.Must(t, scaling.Did(t.Context(), p.DB, n, []scaling.Work{work, {Queue: "lots", Batch: 1}}))
	}
	measured := func() []scaling.Work {
		t.Helper()
		return storetest.MustGet(scaling.Measure(t.Context(), p.DB))(t).Work
	}
	rows := func() int { return storetest.One[int](t, p.SQL(), `SELECT count(*) FROM worker_work`) }
	one, two := register(p, "one"), register(p, "two")
	did(one)
	did(two)
	want := work
	want.Node, want.Term = "one", one.Term
	if got := measured(); len(got) != 4 || got[0] != want {
		t.Errorf("measured are %+v, want 4 rows and first %+v", got, want)
	}
	storetest.Must(t, scaling.Leave(t.Context(), p.DB, one))
	if got := measured(); len(got) != 2 || rows() != 2 {
		t.Errorf("after one node has left %+v are measured, of %d rows", got, rows())
	}
	p.Exec(`UPDATE worker_node SET lease_until = clock_timestamp() - interval '1 second'`)
	if got := measured(); len(got) != 0 {
		t.Errorf("of a node whose lease has ended %+v are measured", got)
	}
	later := register(p, "two")
	if got := measured(); len(got) != 0 {
		t.Errorf("of a process before %+v are measured", got)
	}
	did(later)
	if got := measured(); len(got) != 2 || got[0].Term != later.Term {
		t.Errorf("of the later process %+v are measured", got)
	}
	p.Exec(`UPDATE worker_node SET lease_until = clock_timestamp() - interval '2 hours'`)
	assign(p, lease(p, "one"), all("one"))
	if rows() != 0 {
		t.Errorf("a forgotten node has left %d rows", rows())
	}
}

// The classes that are quarantined, and the connections that are left, are read with the work.
func TestWhatElseIsMeasured(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	p.Exec(`INSERT INTO quarantine (class, consumer, type, version, fingerprint, sample, released_at)
VALUES ('a', 'ledger', 't', '1', 'f', 's', NULL), ('b', 'lots', 't', '1', 'f', 's', clock_timestamp())`)
	m := storetest.MustGet(scaling.Measure(t.Context(), p.DB))(t)
	most := storetest.One[int](t, p.SQL(), `SELECT current_setting('max_connections')::int`)
	if len(m.Quarantined) != 1 || !m.Quarantined["ledger"] || m.Free <= 0 || m.Free >= most {
		t.Errorf("measured are %+v of %d connections", m, most)
	}
}
