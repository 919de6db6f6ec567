package store_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

const potter = "https://potter.example"

var gatePace = store.GatePace{First: 10 * time.Second, Longest: time.Minute, LongestAsked: time.Hour}

func (p *place) enter() store.Gate {
	p.Helper()
	g, err := p.EnterGate(p.Context(), potter)
	must(p, err)
	return g
}

// closes closes the gate and gives for how long; term 0 is no probe's.
func (p *place) closes(term int64, asked time.Duration) time.Duration {
	p.Helper()
	wait, err := p.CloseGate(p.Context(), potter, term, "503", asked, gatePace)
	must(p, err)
	return wait
}

// later lets the gate's time run out.
func (p *place) later() {
	p.Helper()
	p.exec(`UPDATE dependency SET opens_at = clock_timestamp()`)
}

func (p *place) between(what string, wait, least, most time.Duration) {
	p.Helper()
	if wait < least-time.Second || wait > most { // the second is the machine's
		p.Errorf("%s: closed for %s, want %s to %s", what, wait, least, most)
	}
}

func TestOneProbeAnInterval(t *testing.T) {
	t.Parallel()
	const askers = 16
	p := newPlace(t, askers)
	if g := p.enter(); g != (store.Gate{}) {
		t.Fatalf("nobody has closed it: %+v", g)
	}
	p.between("the first failure", p.closes(0, 0), 5*time.Second, 15*time.Second)
	if g := p.enter(); !g.Closed || g.Wait == 0 {
		t.Fatalf("it is closed: %+v", g)
	}
	var term int64
	for range 3 {
		p.later()
		var probes atomic.Int32
		ask := func(ctx context.Context) error {
			g, err := p.EnterGate(ctx, potter)
			if g.Probe != 0 {
				probes.Add(1)
				atomic.StoreInt64(&term, g.Probe)
			} else if !g.Closed {
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
		p.closes(term, 0)
	}
	gates, err := p.ClosedGates(t.Context())
	must(t, err)
	if len(gates) != 1 || gates[0].Failures != 4 || gates[0].Name != potter || gates[0].LastError != "503" || gates[0].OpensIn < 30*time.Second {
		t.Errorf("want its story, got %+v", gates)
	}
}

// The wait doubles with each probe in vain up to the longest; whoever was asked to stay away does, within reason.
// A call that was under way when the gate was closed fails while it is probed: the probe keeps its time.
func TestALateFailureLeavesTheProbeAlone(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 1)
	p.closes(0, 0)
	p.later()
	if g := p.enter(); g.Probe == 0 {
		t.Fatalf("nobody probes: %+v", g)
	}
	p.closes(0, 0)
	p.later()
	if g := p.enter(); !g.Closed || g.Probe != 0 {
		t.Errorf("a second one may probe: %+v", g)
	}
}

func TestHowLongAGateIsClosed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	p.between("first", p.closes(0, 0), 5*time.Second, 15*time.Second)
	for i, d := range []time.Duration{20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		p.later()
		p.between("probe", p.closes(p.enter().Probe, 0), d/2, d*3/2)
		if i == 3 {
			p.between("asked to come later, by a call from before", p.closes(0, 10*time.Minute), 10*time.Minute, 10*time.Minute)
			p.between("asked to come sooner, by another", p.closes(0, time.Second), 10*time.Minute, 10*time.Minute)
		}
	}
	p.later()
	p.between("a probe that was asked", p.closes(p.enter().Probe, 20*time.Minute), 20*time.Minute, 20*time.Minute)
	p.later()
	p.between("asked for a year", p.closes(p.enter().Probe, 365*24*time.Hour), time.Hour, time.Hour)
	gates, err := p.ClosedGates(t.Context())
	must(t, err)
	if gates[0].Failures != 7 {
		t.Errorf("calls that were no probes are counted: %d", gates[0].Failures)
	}
}

// Only the last probe's answer counts: neither one that has had its time nor one of a former closing opens a gate.
func TestALateProbeOpensNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	p.closes(0, 0)
	p.later()
	late := p.enter().Probe
	p.exec(`UPDATE dependency SET probe_until = clock_timestamp()`) // its process is stopped
	next := p.enter().Probe
	if late == 0 || next == 0 || late == next {
		t.Fatalf("want another to probe after its time, got %d and %d", late, next)
	}
	must(t, p.OpenGate(t.Context(), potter, late))
	if g := p.enter(); !g.Closed || g.Wait != 0 {
		t.Fatalf("a late probe has opened it, or the probe under way is not seen: %+v", g)
	}
	must(t, p.OpenGate(t.Context(), potter, next))
	if g := p.enter(); g != (store.Gate{}) {
		t.Fatalf("it is still closed: %+v", g)
	}
	p.closes(0, 0)
	must(t, p.OpenGate(t.Context(), potter, next))
	must(t, p.OpenGate(t.Context(), potter, 0))
	if g := p.enter(); !g.Closed {
		t.Error("a probe of before has opened it")
	}
}
