package scaler_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/scaling"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/runtime/autoscaler"
	"github.com/composerp/composerp/workers/runtime/scaler"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// hurry is how much faster the clock of decisions runs here: the two minutes before a step down are 6 seconds.
const hurry = 20

// hurried is a fleet whose leader decides by a clock that runs faster.
func hurried(t *testing.T, before func(context.Context), options ...worker.Option) *fleet {
	t.Helper()
	f := fleetOf(t, before, options...)
	began := time.Now()
	f.interval = autoscaler.Interval / hurry
	f.now = func() time.Time { return began.Add(hurry * time.Since(began)) }
	return f
}

var by = operatorlog.By{Operator: "test"}

// auto puts a queue into mode auto.
func (f *fleet) auto(queue string, least, most int, drain time.Duration) {
	f.Helper()
	storetest.MustGet(scaling.SetAuto(f.Context(), f.DB, by, scaling.AutoChange{Queue: queue, Min: &least, Max: &most, Drain: &drain}))(f)
}

// decision is the last one for a queue; the zero Decision before the first. At is the fleet's own clock.
func (f *fleet) decision(queue string) (d autoscaler.Decision) {
	f.Helper()
	rows := storetest.MustGet(scaling.Decisions(f.Context(), f.DB))(f)
	if row, found := rows[queue]; found {
		f.Must(json.Unmarshal(row.Decision, &d))
	}
	return d
}

func (f *fleet) pool(queue string) scaling.Pool {
	f.Helper()
	s, _, err := scaling.Read(f.Context(), f.DB)
	f.Must(err)
	return s.Pool(queue)
}

func slow(ctx context.Context) {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
	}
}

// A backlog brings slots, and its end takes them away; no message comes twice for that.
func TestTheAutoscalerFollowsABacklog(t *testing.T) {
	t.Parallel()
	const n = 600
	f := hurried(t, slow, worker.Batch(1, 20))
	f.auto("echo", 1, 6, 2*time.Second)
	one := f.join("one", f.URL)
	f.Eventually("a slot runs", func() bool { return one.slots() == 1 })
	f.Publish(workertest.Sales(t, n)...)
	f.Eventually("slots are added", func() bool { return one.slots() >= 4 })
	f.Eventually("all have had their effect", func() bool { all, _ := f.effects(); return all >= n })
	f.Eventually("the slots are taken away", func() bool { return one.slots() == 1 })
	if all, doubled := f.effects(); all != n || doubled != 0 || one.Messages("duplicate") != 0 {
		t.Errorf("%d effects, %d doubled, %d messages came twice", all, doubled, one.Messages("duplicate"))
	}
	for _, e := range storetest.MustGet(scaling.Events(t.Context(), f.DB, "echo", 100))(t) {
		if e.Node == "" && (e.By != "autoscaler" || e.Reason == "" || *e.After > 6 || *e.After < 1) {
			t.Errorf("the event %+v is none of an autoscaler between 1 and 6", e)
		}
	}
}

// With min 0 a queue to which nothing comes has no slot, and one for the first message.
func TestAQueueSleepsAndWakes(t *testing.T) {
	t.Parallel()
	f := hurried(t, nil, worker.Batch(5, 20))
	f.auto("echo", 0, 2, time.Second)
	one := f.join("one", f.URL)
	asleep := func() bool { return one.slots() == 0 && one.Metric("composerp_pool_desired", "queue", "echo") == 0 }
	for n := 1; n <= 2; n++ {
		f.Eventually("it sleeps", asleep)
		f.Publish(workertest.Sales(t, 1)...)
		f.Eventually("the message is handled", func() bool { all, _ := f.effects(); return all == n })
	}
}

// While an override or a pause stands, the autoscaler decides nothing for that queue; then it goes on.
func TestAnOverrideAndAPauseStand(t *testing.T) {
	t.Parallel()
	f := hurried(t, nil, worker.Batch(5, 20))
	other := worker.New("other", worker.On(func(context.Context, *worker.Tx, event.Of[event.SaleCompleted]) error { return nil }))
	f.Apply(f.worker, other)
	f.auto("echo", 3, 5, time.Second)
	slots := 1
	_, _, err := scaling.Scale(t.Context(), f.DB, by, []scaling.Change{{Queue: "echo", Desired: &slots, For: time.Hour}})
	f.Must(err)
	f.auto("other", 1, 1, time.Second) // its decisions come after those for echo, and tell that time passes
	one := f.join("one", f.URL)
	pass := func() {
		t.Helper()
		for range 2 {
			was := f.decision("other").At
			f.Eventually("the leader decides", func() bool { return f.decision("other").At.After(was) })
		}
	}
	pass()
	if d, p := f.decision("echo"), f.pool("echo"); !d.At.IsZero() || *p.Desired != 1 || one.slots() > 1 {
		t.Errorf("under the override it decided %+v, %d slots are desired and %d run", d, *p.Desired, one.slots())
	}
	f.Exec(`UPDATE worker_pool SET override_until = clock_timestamp() WHERE queue = 'echo'`)
	f.Eventually("the override is over", func() bool { return one.slots() == 3 })
	paused := func(want float64) func() bool {
		return func() bool { return one.Metric("composerp_pool_paused", "queue", "echo") == want }
	}
	f.Eventually("the leader shows that it is not paused", paused(0))
	storetest.MustGet(scaling.Pause(t.Context(), f.DB, by, "echo", true))(t)
	f.Eventually("the leader shows that it is paused", paused(1))
	f.Eventually("it is paused", func() bool { return one.slots() == 0 })
	pass() // a decision that was under way
	was := f.decision("echo").At
	pass()
	if d := f.decision("echo"); !d.At.Equal(was) || *f.pool("echo").Desired != 3 {
		t.Errorf("while it is paused it decided %+v", d)
	}
	storetest.MustGet(scaling.Pause(t.Context(), f.DB, by, "echo", false))(t)
	f.Eventually("it goes on", func() bool { return one.slots() == 3 && f.decision("echo").At.After(was) })
}

// A new leader knows the rate of a slot by the curve that was written, before its own nodes have finished a batch; a
// curve of another form is no reason to decide nothing. Only the leader has the pools' metrics.
func TestANewLeaderBeginsWithWhatWasWritten(t *testing.T) {
	t.Parallel()
	const rate = 10
	release := make(chan struct{})
	f := hurried(t, func(ctx context.Context) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}, worker.Batch(5, 20))
	var curve autoscaler.Curve
	curve.Add(5, 5.0/rate)
	written := storetest.MustGet(json.Marshal(curve))(t)
	f.auto("echo", 1, 5, 2*time.Second)
	f.Exec(`INSERT INTO scale_decision (queue, decision, curve) VALUES ('echo', '{}', $1::jsonb)`, string(written))
	f.Publish(workertest.Sales(t, 100)...)
	one := f.join("one", f.URL)
	f.Eventually("slots are added", func() bool { return one.slots() == 5 })
	if d := f.decision("echo"); d.Rate < rate-0.01 || d.Rate > rate+0.01 {
		t.Errorf("a slot is reckoned to do %v/s, was written to do %d/s", d.Rate, rate)
	}
	two := f.join("two", f.URL)
	f.Eventually("the other has registered", func() bool {
		return storetest.Value[bool](f, f.URL, `SELECT EXISTS (SELECT FROM worker_node WHERE id = 'two')`)
	})
	leads := func(m *member) bool { return m.Metric("composerp_pool_running", "queue", "echo") >= 0 }
	f.Eventually("the leader shows it", func() bool { return leads(one) && one.Metric("composerp_pool_desired", "queue", "echo") == 5 })
	target := func(m *member) float64 { return m.Metric("composerp_pool_drain_target_seconds", "queue", "echo") }
	if target(one) != 2 {
		t.Errorf("the target is %v s, want 2", target(one))
	}
	if leads(two) || target(two) >= 0 {
		t.Error("a node that does not lead has metrics of pools")
	}
	close(release)
	one.Stop()
	f.Eventually("the other leads", func() bool { return leads(two) && !leads(one) && target(one) < 0 })
	f.Exec(`UPDATE scale_decision SET curve = '{"weight": "none"}'`)
	two.End()
	three := f.join("three", f.URL)
	f.Eventually("a third leads", func() bool { return leads(three) })
	was := f.decision("echo").At
	f.Eventually("it decides", func() bool { return f.decision("echo").At.After(was) })
}

// What stands behind a decision is said in one line.
func TestReasonsOfDecisions(t *testing.T) {
	t.Parallel()
	d := autoscaler.Decision{Arrivals: 1212.34, Depth: 56000, Rate: 5, Wanted: 4}
	for want, change := range map[string]func(*autoscaler.Decision){
		"":                      func(*autoscaler.Decision) {},
		", held by retry-storm": func(d *autoscaler.Decision) { d.Bound, d.Hold = autoscaler.ByHold, autoscaler.RetryStorm },
		", bounded by step-up":  func(d *autoscaler.Decision) { d.Bound = autoscaler.ByStepUp },
	} {
		d := d
		change(&d)
		if got := scaler.Reason(d); got != fmt.Sprint("1,212.3/s arrive, 56,000 wait, a slot does 5.0/s: 4 wanted", want) {
			t.Errorf("the reason is %q", got)
		}
	}
}
