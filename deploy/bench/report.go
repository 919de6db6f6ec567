package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is the result of a bench: the medians, and the rounds that they are taken from.
type Report struct {
	SameWorkRatio float64 `json:"sameWorkRatio"` // Composerp at the reference's work / the reference
	LedgerRatio   float64 `json:"ledgerRatio"`   // the real ledger, its updates published / the reference
	FleetRatio    float64 `json:"fleetRatio"`    // every worker, sales a second / the reference's events a second
	IdleP50Ms     float64 `json:"idleP50Ms"`     // one sale through the idle fleet, commit to commit
	IdleP99Ms     float64 `json:"idleP99Ms"`
	IdleP50Ratio  float64 `json:"idleP50Ratio"` // of the reference's own
	IdleP99Ratio  float64 `json:"idleP99Ratio"`
	// ClientRatio and DatabaseRatio compare a delivery to the fleet with one to the reference, in processor time.
	ClientRatio   float64 `json:"clientRatio,omitzero"`
	DatabaseRatio float64 `json:"databaseRatio,omitzero"`
	FleetMemoryMB float64 `json:"fleetMemoryMB,omitzero"` // the most of a run: the process with all workers, and its sales
	Goals         []Goal  `json:"goals"`

	ReferencePerSecond float64 `json:"referencePerSecond"` // events
	SameWorkPerSecond  float64 `json:"sameWorkPerSecond"`
	LedgerPerSecond    float64 `json:"ledgerPerSecond"` // sales; each makes a second event
	FleetPerSecond     float64 `json:"fleetPerSecond"`  // sales, with everything that follows from them

	ReferencePrices Prices `json:"referencePrices"`
	SameWorkPrices  Prices `json:"sameWorkPrices"`
	LedgerPrices    Prices `json:"ledgerPrices"`
	FleetPrices     Prices `json:"fleetPrices"`

	Recording Recording `json:"recording"`

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
	// IdleReference is the latency of one sale through the idle reference.
	IdleReference Latency `json:"idleReference"`
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
	// WALBytes is what the database's write-ahead log grew by, a sale. MemoryMB is the most that this process had
	// resident; the fleet's runs alone measure it.
	WALBytes float64 `json:"walBytes,omitzero"`
	MemoryMB float64 `json:"memoryMB,omitzero"`
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
		event, delivery := t.event(), t.delivery()
		text += fmt.Sprintf("; CPU an event %.0f µs (client/broker/database %s)", event.total(), event.cpu())
		if t.Handled > 1 {
			text += fmt.Sprintf(", a delivery %.0f µs (%s)", delivery.total(), delivery.cpu())
		}
		text += fmt.Sprintf("; %s", t.Cores)
	}
	if t.MemoryMB > 0 {
		text += fmt.Sprintf("; %.0f MB", t.MemoryMB)
	}
	return text
}

// Latency is the latency of one run, in milliseconds.
type Latency struct {
	P50Ms float64 `json:"p50Ms"`
	P99Ms float64 `json:"p99Ms"`
	MaxMs float64 `json:"maxMs"`
	// BrokerMs and WorkerMs are means of the fleet's own histograms: from publishing to the confirm, and from taking a
	// message to acknowledging it. The rest is the tick, and the relay's reading.
	BrokerMs float64 `json:"brokerMs,omitzero"`
	WorkerMs float64 `json:"workerMs,omitzero"`
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
	r.IdleP50Ratio = r.median(func(r Round) float64 { return ratio(r.Idle.P50Ms, r.IdleReference.P50Ms) })
	r.IdleP99Ratio = r.median(func(r Round) float64 { return ratio(r.Idle.P99Ms, r.IdleReference.P99Ms) })
	r.ClientRatio = r.median(func(r Round) float64 { return ratio(r.Fleet.delivery().Client, r.Reference.delivery().Client) })
	r.DatabaseRatio = r.median(func(r Round) float64 { return ratio(r.Fleet.delivery().Database, r.Reference.delivery().Database) })
	for i := range r.Rounds {
		r.FleetMemoryMB = max(r.FleetMemoryMB, r.Rounds[i].Fleet.MemoryMB)
	}
	for _, s := range stages {
		*s.prices(r) = r.prices(s.run)
	}
	r.Goals = r.goals()
}

// stage is one of a round's measurements of throughput.
type stage struct {
	name   string
	run    func(Round) Throughput
	prices func(*Report) *Prices
}

var stages = []stage{
	{"the reference", func(r Round) Throughput { return r.Reference }, func(r *Report) *Prices { return &r.ReferencePrices }},
	{"same work", func(r Round) Throughput { return r.SameWork }, func(r *Report) *Prices { return &r.SameWorkPrices }},
	{"the ledger", func(r Round) Throughput { return r.Ledger }, func(r *Report) *Prices { return &r.LedgerPrices }},
	{"the whole fleet", func(r Round) Throughput { return r.Fleet }, func(r *Report) *Prices { return &r.FleetPrices }},
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

// Table is the report for people: each figure beside its goal, and what they are made of.
func (r Report) Table() string {
	var text strings.Builder
	r.writeGoals(&text)
	text.WriteByte('\n')
	r.writeStages(&text)
	fmt.Fprintf(&text, "\nIdle, one sale from commit to commit: p50 %.1f ms, p99 %.1f ms; the reference's p50 %.1f ms, p99 %.1f ms.\n", r.IdleP50Ms, r.IdleP99Ms,
		r.median(func(r Round) float64 { return r.IdleReference.P50Ms }), r.median(func(r Round) float64 { return r.IdleReference.P99Ms }))
	fmt.Fprintf(&text, "Of the fleet's, %.1f ms from publishing to the confirm and %.1f ms from taking to acknowledging, on average.\n",
		r.median(func(r Round) float64 { return r.Idle.BrokerMs }), r.median(func(r Round) float64 { return r.Idle.WorkerMs }))
	fmt.Fprintf(&text, "To record where a delivery's time goes costs %.1f µs of client and database, and %.1f µs in a backlog, where it is kept.\n", r.Recording.Prompt, r.Recording.Late)
	fmt.Fprintf(&text, "Medians of %d rounds, %d events a run. Ratios are to the reference. %s.\n", len(r.Rounds), r.Events, r.Machine)
	names := slices.Sorted(maps.Keys(r.Versions))
	for i, name := range names {
		names[i] = name + " " + r.Versions[name]
	}
	fmt.Fprintf(&text, "%s.\n", strings.Join(names, ", "))
	return text.String()
}

func (r Report) writeGoals(to io.Writer) {
	rows := [][]string{{"WHAT", "MEASURED", "GOAL", ""}}
	for _, g := range r.Goals {
		rows = append(rows, g.columns())
	}
	writeTable(to, rows)
}

func (r Report) writeStages(to io.Writer) {
	rows := [][]string{{"CLIENT/BROKER/DATABASE", "PER SECOND", "BATCH", "CORES", "CPU AN EVENT, µs", "CPU A DELIVERY, µs", "WAL A DELIVERY, BYTES"}}
	for _, s := range stages {
		figure := func(of func(Throughput) float64) string {
			return fmt.Sprintf("%.0f", r.median(func(r Round) float64 { return of(s.run(r)) }))
		}
		p := *s.prices(&r)
		rows = append(rows, []string{
			s.name, figure(func(t Throughput) float64 { return t.PerSecond }), figure(func(t Throughput) float64 { return t.Batch }), r.cores(s.run),
			p.Event.cpu(), p.Delivery.cpu(), fmt.Sprintf("%.0f", p.Delivery.WALBytes),
		})
	}
	writeTable(to, rows)
}

func writeTable(to io.Writer, rows [][]string) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush()
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
