package failures_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/deploy/local/localtest"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
)

const endpoint = "https://potter.example"

var testBackoff = failures.CircuitBackoff{First: 10 * time.Second, Longest: time.Minute, LongestAsked: time.Hour}

func requestPermit(p *storetest.Env) failures.Permit {
	p.Helper()
	g, err := failures.RequestPermit(p.Context(), p.DB, endpoint, "call")
	storetest.Must(p, err)
	return g
}

// trips opens the circuit and returns for how long; term 0 is no probe's.
func trips(p *storetest.Env, term int64, asked time.Duration) time.Duration {
	p.Helper()
	wait, _, err := failures.TripCircuit(p.Context(), p.DB, endpoint, "call", term, "503", asked, testBackoff)
	storetest.Must(p, err)
	return wait
}

// passWait ends the circuit's wait.
func passWait(p *storetest.Env) {
	p.Helper()
	p.Exec(`UPDATE dependency SET opens_at = clock_timestamp()`)
}

func checkWait(p *storetest.Env, what string, wait, least, most time.Duration) {
	p.Helper()
	if wait < least-localtest.Deadline(time.Second) || wait > most { // the second is the machine's
		p.Errorf("%s: closed for %s, want %s to %s", what, wait, least, most)
	}
}

func TestOneProbeAnInterval(t *testing.T) {
	t.Parallel()
	const askers = 16
	p := storetest.NewEnv(t, askers)
	if g := requestPermit(p); g != (failures.Permit{}) {
		t.Fatalf("its circuit was never opened: %+v", g)
	}
	checkWait(p, "the first failure", trips(p, 0, 0), 5*time.Second, 15*time.Second)
	if g := requestPermit(p); !g.Refused || g.Wait == 0 {
		t.Fatalf("it is closed: %+v", g)
	}
	var term int64
	for range 3 {
		passWait(p)
		var probes atomic.Int32
		ask := func(ctx context.Context) error {
			g, err := failures.RequestPermit(ctx, p.DB, endpoint, "call")
			if g.Probe != 0 {
				probes.Add(1)
				atomic.StoreInt64(&term, g.Probe)
			} else if !g.Refused {
				t.Error("it is open while it is probed")
			}
			return err
		}
		run := make([]func(context.Context) error, askers)
		for i := range run {
			run[i] = ask
		}
		storetest.Concurrently(t, run...)
		if n := probes.Load(); n != 1 {
			t.Errorf("%d may probe", n)
		}
		trips(p, term, 0)
	}
	circuits, err := failures.OpenCircuits(t.Context(), p.DB)
	storetest.Must(t, err)
	if len(circuits) != 1 || circuits[0].Failures != 4 || circuits[0].Name != endpoint || circuits[0].LastError != "503" || circuits[0].RetryIn < 30*time.Second {
		t.Errorf("want its story, got %+v", circuits)
	}
}

// The wait doubles with each failed probe up to the longest; a requested wait is granted, within limits. A call that
// was under way when the circuit opened fails during the probe: the probe keeps its time.
func TestALateFailureLeavesTheProbeAlone(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 1)
	trips(p, 0, 0)
	passWait(p)
	if g := requestPermit(p); g.Probe == 0 {
		t.Fatalf("there is no probe: %+v", g)
	}
	trips(p, 0, 0)
	passWait(p)
	if g := requestPermit(p); !g.Refused || g.Probe != 0 {
		t.Errorf("a second one may probe: %+v", g)
	}
}

func TestHowLongACircuitIsOpen(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	checkWait(p, "first", trips(p, 0, 0), 5*time.Second, 15*time.Second)
	for i, d := range []time.Duration{20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		passWait(p)
		checkWait(p, "probe", trips(p, requestPermit(p).Probe, 0), d/2, d*3/2)
		if i == 3 {
			checkWait(p, "asked to come later, by a call from before", trips(p, 0, 10*time.Minute), 10*time.Minute, 10*time.Minute)
			checkWait(p, "asked to come sooner, by another", trips(p, 0, time.Second), 10*time.Minute, 10*time.Minute)
		}
	}
	passWait(p)
	checkWait(p, "a probe that was asked", trips(p, requestPermit(p).Probe, 20*time.Minute), 20*time.Minute, 20*time.Minute)
	passWait(p)
	checkWait(p, "asked for a year", trips(p, requestPermit(p).Probe, 365*24*time.Hour), time.Hour, time.Hour)
	circuits, err := failures.OpenCircuits(t.Context(), p.DB)
	storetest.Must(t, err)
	if circuits[0].Failures != 7 {
		t.Errorf("calls that were no probes are counted: %d", circuits[0].Failures)
	}
}

// A call that alone has probed for long lets any other go first, for a minute; and it is told that it is alone.
func TestACallThatFailsAloneLetsOthersProbe(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	permit := func(key string) failures.Permit {
		t.Helper()
		g, err := failures.RequestPermit(t.Context(), p.DB, endpoint, key)
		storetest.Must(t, err)
		return g
	}
	fails := func(key string) {
		t.Helper()
		passWait(p)
		g := permit(key)
		if g.Probe == 0 {
			t.Fatalf("%s may not probe: %+v", key, g)
		}
		_, _, err := failures.TripCircuit(t.Context(), p.DB, endpoint, key, g.Probe, "500", 0, testBackoff)
		storetest.Must(t, err)
	}
	state := func() failures.CircuitState {
		t.Helper()
		circuits, err := failures.OpenCircuits(t.Context(), p.DB)
		storetest.Must(t, err)
		return circuits[0]
	}
	trips(p, 0, 0)
	fails("call")
	fails("call")
	fails("call")
	if c := state(); c.Lone || c.Probes != 4 || c.ProbeKey != "call" {
		t.Errorf("within a minute it is %+v", c)
	}
	p.Exec(`UPDATE dependency SET probe_since = probe_since - interval '61 s'`)
	passWait(p)
	if c, g := state(), permit("call"); !c.Lone || !g.Refused || g.Probe != 0 || g.Wait < 30*time.Second || g.Wait > time.Minute {
		t.Errorf("after a minute it is %+v, and gets %+v", c, g)
	}
	fails("other")
	if c := state(); c.Lone || c.Probes != 1 || c.ProbeKey != "other" || time.Since(c.ProbeSince) > time.Minute {
		t.Errorf("after another's turn it is %+v", c)
	}
	fails("call")
	fails("call")
	fails("call")
	p.Exec(`UPDATE dependency SET probe_since = probe_since - interval '61 s', opens_at = clock_timestamp() - interval '61 s'`)
	if g := permit("call"); g.Probe == 0 {
		t.Errorf("with no other it may not probe again: %+v", g)
	}
}

// Only the last probe's result counts: neither an expired one nor one of an earlier outage closes the circuit.
func TestALateProbeClosesNothing(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	trips(p, 0, 0)
	passWait(p)
	late := requestPermit(p).Probe
	p.Exec(`UPDATE dependency SET probe_until = clock_timestamp()`) // its process is stopped
	next := requestPermit(p).Probe
	if late == 0 || next == 0 || late == next {
		t.Fatalf("want another to probe after its time, got %d and %d", late, next)
	}
	storetest.Must(t, failures.ResetCircuit(t.Context(), p.DB, endpoint, late))
	if g := requestPermit(p); !g.Refused || g.Wait != 0 {
		t.Fatalf("a late probe has opened it, or the probe under way is not seen: %+v", g)
	}
	storetest.Must(t, failures.ResetCircuit(t.Context(), p.DB, endpoint, next))
	if g := requestPermit(p); g != (failures.Permit{}) {
		t.Fatalf("it is still closed: %+v", g)
	}
	trips(p, 0, 0)
	storetest.Must(t, failures.ResetCircuit(t.Context(), p.DB, endpoint, next))
	storetest.Must(t, failures.ResetCircuit(t.Context(), p.DB, endpoint, 0))
	if g := requestPermit(p); !g.Refused {
		t.Error("a probe of before has opened it")
	}
}

// No message waits for a circuit that could be probed for an hour and was not: its address was replaced.
func TestACircuitThatNothingWaitsForIsNotListed(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 1)
	trips(p, 0, 0)
	listed := func(what string, want int) {
		t.Helper()
		circuits, err := failures.OpenCircuits(t.Context(), p.DB)
		storetest.Must(t, err)
		if len(circuits) != want {
			t.Errorf("%s: want %d circuits listed, got %+v", what, want, circuits)
		}
	}
	p.Exec(`UPDATE dependency SET opens_at = clock_timestamp() - interval '59 min'`)
	listed("a message may come back from a retry queue", 1)
	p.Exec(`UPDATE dependency SET opens_at = clock_timestamp() - interval '61 min'`)
	listed("none has come back", 0)
	if g := requestPermit(p); g.Probe == 0 {
		t.Errorf("want the next call to probe, got %+v", g)
	}
	listed("it is probed", 1)
}
