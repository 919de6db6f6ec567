package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// The goals.
const (
	goalSameWork = 0.8
	goalLedger   = 0.35
	goalFleet    = 0.12
	goalP50Ms    = 8
	goalP99Ms    = 25
)

// Report is the result of a bench: the medians, and the rounds that they are taken from.
type Report struct {
	SameWorkRatio float64 `json:"sameWorkRatio"` // Composerp at the reference's work / the reference
	LedgerRatio   float64 `json:"ledgerRatio"`   // the real ledger, its updates published / the reference
	FleetRatio    float64 `json:"fleetRatio"`    // every worker, sales a second / the reference's events a second
	IdleP50Ms     float64 `json:"idleP50Ms"`     // one sale through the idle fleet, commit to commit
	IdleP99Ms     float64 `json:"idleP99Ms"`

	ReferencePerSecond float64 `json:"referencePerSecond"` // events
	SameWorkPerSecond  float64 `json:"sameWorkPerSecond"`
	LedgerPerSecond    float64 `json:"ledgerPerSecond"` // sales; each makes a second event
	FleetPerSecond     float64 `json:"fleetPerSecond"`  // sales, with everything that follows from them

	Events   int               `json:"events"` // in each run
	Rounds   []Round           `json:"rounds"`
	Machine  Machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
}

// Round is one run of each measurement.
type Round struct {
	Reference Throughput `json:"reference"`
	SameWork  Throughput `json:"sameWork"`
	Ledger    Throughput `json:"ledger"`
	Fleet     Throughput `json:"fleet"`
	Idle      Latency    `json:"idle"`
}

// Throughput is the throughput of one run.
type Throughput struct {
	PerSecond float64 `json:"perSecond"`
	Seconds   float64 `json:"seconds"`
	Batch     float64 `json:"batch,omitzero"` // the mean size of the workers' batches
	// Events is how many events a sale made, and Handled how often workers handled one of them.
	Events  float64 `json:"events,omitzero"`
	Handled float64 `json:"handled,omitzero"`
	Cores   Cores   `json:"cores,omitzero"` // in use during the run
}

func (t Throughput) String() string {
	text := fmt.Sprintf("%.0f/s in %.2f s", t.PerSecond, t.Seconds)
	if t.Batch > 0 {
		text += fmt.Sprintf(", batches of %.0f", t.Batch)
	}
	if t.Events > 0 {
		text += fmt.Sprintf(", a sale makes %.2f events and is handled %.2f times", t.Events, t.Handled)
	}
	if t.Cores.measured() {
		each := func(cores float64) float64 { return cores / t.PerSecond * 1e6 }
		text += fmt.Sprintf("; CPU an event %.0f µs (client %.0f, broker %.0f, database %.0f); %s", each(t.Cores.ours()),
			each(t.Cores.Client), each(t.Cores.Broker), each(t.Cores.Database), t.Cores)
	}
	return text
}

// Latency is the latency of one run, in milliseconds.
type Latency struct {
	P50Ms float64 `json:"p50Ms"`
	P99Ms float64 `json:"p99Ms"`
	MaxMs float64 `json:"maxMs"`
}

func latency(taken []time.Duration) Latency {
	sorted := slices.Sorted(slices.Values(taken))
	at := func(share float64) float64 {
		i := min(len(sorted)-1, int(share*float64(len(sorted))))
		return float64(sorted[i].Microseconds()) / 1000
	}
	return Latency{P50Ms: at(0.5), P99Ms: at(0.99), MaxMs: at(1)}
}

func (l Latency) String() string {
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, worst %.1f ms", l.P50Ms, l.P99Ms, l.MaxMs)
}

// summarize computes the medians. A ratio is taken within a round, so that both of its runs had the machine in the same
// minute.
func (r *Report) summarize() {
	r.SameWorkRatio = r.median(func(r Round) float64 { return r.SameWork.PerSecond / r.Reference.PerSecond })
	r.LedgerRatio = r.median(func(r Round) float64 { return r.Ledger.PerSecond / r.Reference.PerSecond })
	r.FleetRatio = r.median(func(r Round) float64 { return r.Fleet.PerSecond / r.Reference.PerSecond })
	r.ReferencePerSecond = r.median(func(r Round) float64 { return r.Reference.PerSecond })
	r.SameWorkPerSecond = r.median(func(r Round) float64 { return r.SameWork.PerSecond })
	r.LedgerPerSecond = r.median(func(r Round) float64 { return r.Ledger.PerSecond })
	r.FleetPerSecond = r.median(func(r Round) float64 { return r.Fleet.PerSecond })
	r.IdleP50Ms = r.median(func(r Round) float64 { return r.Idle.P50Ms })
	r.IdleP99Ms = r.median(func(r Round) float64 { return r.Idle.P99Ms })
}

func (r Report) median(of func(Round) float64) float64 {
	values := make([]float64, len(r.Rounds))
	for i := range r.Rounds {
		values[i] = of(r.Rounds[i])
	}
	return median(values)
}

// median gives the middle value, or the mean of the two in the middle; 0 for no values.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	if n == 0 {
		return 0
	}
	return (s[(n-1)/2] + s[n/2]) / 2
}

// Table is the report for people: each figure beside its goal.
func (r Report) Table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	line := func(columns ...string) { fmt.Fprintln(w, strings.Join(columns, "\t")) }
	met := func(ok bool) string {
		if ok {
			return "met"
		}
		return "missed"
	}
	line("WHAT", "MEASURED", "GOAL", "", "PER SECOND", "BATCH", "CORES CLIENT/BROKER/DATABASE")
	line("the reference", "1.00", "", "", perSecond(r.ReferencePerSecond), "", r.cores(func(r Round) Throughput { return r.Reference }))
	rate := func(what string, ratio, goal, rate float64, of func(Round) Throughput) {
		line(what, fmt.Sprintf("%.2f", ratio), fmt.Sprintf("at least %.2f", goal), met(ratio >= goal), perSecond(rate), r.batch(of), r.cores(of))
	}
	rate("same work", r.SameWorkRatio, goalSameWork, r.SameWorkPerSecond, func(r Round) Throughput { return r.SameWork })
	rate("the ledger", r.LedgerRatio, goalLedger, r.LedgerPerSecond, func(r Round) Throughput { return r.Ledger })
	rate("the whole fleet", r.FleetRatio, goalFleet, r.FleetPerSecond, func(r Round) Throughput { return r.Fleet })
	line("idle, p50", fmt.Sprintf("%.1f ms", r.IdleP50Ms), fmt.Sprintf("at most %d ms", goalP50Ms), met(r.IdleP50Ms <= goalP50Ms), "", "", "")
	line("idle, p99", fmt.Sprintf("%.1f ms", r.IdleP99Ms), fmt.Sprintf("at most %d ms", goalP99Ms), met(r.IdleP99Ms <= goalP99Ms), "", "", "")
	_ = w.Flush()
	fmt.Fprintf(&text, "\nMedians of %d rounds, %d events a run. %s.\n", len(r.Rounds), r.Events, r.Machine)
	names := slices.Sorted(maps.Keys(r.Versions))
	for i, name := range names {
		names[i] = name + " " + r.Versions[name]
	}
	fmt.Fprintf(&text, "%s.\n", strings.Join(names, ", "))
	return text.String()
}

func perSecond(v float64) string { return fmt.Sprintf("%.0f", v) }

func (r Report) batch(of func(Round) Throughput) string {
	return fmt.Sprintf("%.0f", r.median(func(r Round) float64 { return of(r).Batch }))
}

// cores are the means over the rounds.
func (r Report) cores(of func(Round) Throughput) string {
	var sum Cores
	for i := range r.Rounds {
		c := of(r.Rounds[i]).Cores
		sum.Client, sum.Broker, sum.Database = sum.Client+c.Client, sum.Broker+c.Broker, sum.Database+c.Database
	}
	if !sum.measured() {
		return ""
	}
	n := float64(len(r.Rounds))
	return fmt.Sprintf("%.2f/%.2f/%.2f", sum.Client/n, sum.Broker/n, sum.Database/n)
}
