package failures_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/storetest"
)

const potter = "https://potter.example"

var gatePace = failures.CircuitBackoff{First: 10 * time.Second, Longest: time.Minute, LongestAsked: time.Hour}

func enter(p *storetest.Env) failures.Permit {
	p.Helper()
	g, err := failures.RequestPermit(p.Context(), p.DB, potter)
	storetest.Must(p, err)
	return g
}

// closes closes the gate and gives for how long; term 0 is no probe's.
func closes(p *storetest.Env, term int64, asked time.Duration) time.Duration {
	p.Helper()
	wait, err := failures.TripCircuit(p.Context(), p.DB, potter, term, "503", asked, gatePace)
	storetest.Must(p, err)
	return wait
}

// later lets the gate's time run out.
func later(p *storetest.Env) {
	p.Helper()
	p.Exec(`UPDATE dependency SET opens_at = clock_timestamp()`)
}

func between(p *storetest.Env, what string, wait, least, most time.Duration) {
	p.Helper()
	if wait < least-time.Second || wait > most { // the second is the machine's
		p.Errorf("%s: closed for %s, want %s to %s", what, wait, least, most)
	}
}

func TestOneProbeAnInterval(t *testing.T) {
	t.Parallel()
	const askers = 16
	p := storetest.NewEnv(t, askers)
	if g := enter(p); g != (failures.Permit{}) {
		t.Fatalf("nobody has closed it: %+v", g)
	}
	between(p, "the first failure", closes(p, 0, 0), 5*time.Second, 15*time.Second)
	if g := enter(p); !g.Refused || g.Wait == 0 {
		t.Fatalf("it is closed: %+v", g)
	}
	var term int64
	for range 3 {
		later(p)
		var probes atomic.Int32
		ask := func(ctx context.Context) error {
			g, err := failures.RequestPermit(ctx, p.DB, potter)
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
		closes(p, term, 0)
	}
	gates, err := failures.OpenCircuits(t.Context(), p.DB)
	storetest.Must(t, err)
	if len(gates) != 1 || gates[0].Failures != 4 || gates[0].Name != potter || gates[0].LastError != "503" || gates[0].RetryIn < 30*time.Second {
		t.Errorf("want its story, got %+v", gates)
	}
}

// The wait doubles with each probe in vain up to the longest; whoever was asked to stay away does, within reason.
// A call that was under way when the gate was closed fails while it is probed: the probe keeps its time.
func TestALateFailureLeavesTheProbeAlone(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 1)
	closes(p, 0, 0)
	later(p)
	if g := enter(p); g.Probe == 0 {
		t.Fatalf("nobody probes: %+v", g)
	}
	closes(p, 0, 0)
	later(p)
	if g := enter(p); !g.Refused || g.Probe != 0 {
		t.Errorf("a second one may probe: %+v", g)
	}
}

func TestHowLongAGateIsClosed(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	between(p, "first", closes(p, 0, 0), 5*time.Second, 15*time.Second)
	for i, d := range []time.Duration{20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		later(p)
		between(p, "probe", closes(p, enter(p).Probe, 0), d/2, d*3/2)
		if i == 3 {
			between(p, "asked to come later, by a call from before", closes(p, 0, 10*time.Minute), 10*time.Minute, 10*time.Minute)
			between(p, "asked to come sooner, by another", closes(p, 0, time.Second), 10*time.Minute, 10*time.Minute)
		}
	}
	later(p)
	between(p, "a probe that was asked", closes(p, enter(p).Probe, 20*time.Minute), 20*time.Minute, 20*time.Minute)
	later(p)
	between(p, "asked for a year", closes(p, enter(p).Probe, 365*24*time.Hour), time.Hour, time.Hour)
	gates, err := failures.OpenCircuits(t.Context(), p.DB)
	storetest.Must(t, err)
	if gates[0].Failures != 7 {
		t.Errorf("calls that were no probes are counted: %d", gates[0].Failures)
	}
}

// Only the last probe's answer counts: neither one that has had its time nor one of a former closing opens a gate.
func TestALateProbeOpensNothing(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	closes(p, 0, 0)
	later(p)
	late := enter(p).Probe
	p.Exec(`UPDATE dependency SET probe_until = clock_timestamp()`) // its process is stopped
	next := enter(p).Probe
	if late == 0 || next == 0 || late == next {
		t.Fatalf("want another to probe after its time, got %d and %d", late, next)
	}
	storetest.Must(t, failures.ResetCircuit(t.Context(), p.DB, potter, late))
	if g := enter(p); !g.Refused || g.Wait != 0 {
		t.Fatalf("a late probe has opened it, or the probe under way is not seen: %+v", g)
	}
	storetest.Must(t, failures.ResetCircuit(t.Context(), p.DB, potter, next))
	if g := enter(p); g != (failures.Permit{}) {
		t.Fatalf("it is still closed: %+v", g)
	}
	closes(p, 0, 0)
	storetest.Must(t, failures.ResetCircuit(t.Context(), p.DB, potter, next))
	storetest.Must(t, failures.ResetCircuit(t.Context(), p.DB, potter, 0))
	if g := enter(p); !g.Refused {
		t.Error("a probe of before has opened it")
	}
}
