package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/workers"
)

// AuditReport is what audits cost of a log that is so long.
type AuditReport struct {
	Events int64     `json:"events"` // in the log at the end
	Built  float64   `json:"builtSeconds"`
	Bytes  int64     `json:"databaseBytes"` // at the end
	Audits []Audited `json:"audits"`        // the first looks at everything, each later one at what was added since
	// Machine is where it was measured.
	Machine Machine `json:"machine"`
}

// Audited is one audit.
type Audited struct {
	What    string  `json:"what"`
	Fresh   int64   `json:"fresh"` // events that it looked at
	Seconds float64 `json:"seconds"`
	// CPUSeconds are the processor's, of its backend; zero where they cannot be known.
	CPUSeconds float64 `json:"cpuSeconds,omitzero"`
	// Checks are the seconds of its three slowest steps.
	Checks []AuditStep `json:"slowest"`
	// MemoryMiB is the most private memory that its backend had, and SpilledMiB what it wrote to temporary files. Zero where it cannot be known.
	MemoryMiB  float64 `json:"memoryMiB,omitzero"`
	SpilledMiB float64 `json:"spilledMiB,omitzero"`
}

// AuditStep is one step of an audit.
type AuditStep struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// freshEvents are added between two audits.
const freshEvents = 20_000

// RunAudit makes a log of so many events, with all that the fleet would have left of them, and audits it: everything, and then twice what
// 20,000 events more have left. An audit that does not prove what was made is an error.
func RunAudit(ctx context.Context, cfg Config, events int) (report AuditReport, err error) {
	cfg.defaults()
	err = inPlace(ctx, cfg, func(p *place) error {
		report, err = p.measureAudits(ctx, cfg, events)
		return err
	})
	return report, err
}

func (p *place) measureAudits(ctx context.Context, cfg Config, events int) (report AuditReport, err error) {
	b, err := p.newHistory(ctx, cfg.Progress)
	if err != nil {
		return report, fmt.Errorf("making a history: %w", err)
	}
	defer b.close()
	began := time.Now()
	if err := b.whole(ctx, events/2); err != nil {
		return report, fmt.Errorf("making a history: %w", err)
	}
	report = AuditReport{Built: time.Since(began).Seconds(), Machine: ThisMachine()}
	for i, what := range []string{"everything", "what is new", "what is new"} {
		if i > 0 {
			if err := b.add(ctx, freshEvents/2); err != nil {
				return report, fmt.Errorf("adding to the history: %w", err)
			}
		}
		audited, err := b.audit(ctx, what, i > 0)
		if err != nil {
			return report, err
		}
		report.Audits = append(report.Audits, audited)
		cfg.Progress(fmt.Sprintf("audited %s: %d events in %.2f s", what, audited.Fresh, audited.Seconds))
	}
	err = b.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM event_log), pg_database_size(current_database())`).Scan(&report.Events, &report.Bytes)
	return report, err
}

// audit times one audit of a pool with one connection, whose backend is watched.
func (b *history) audit(ctx context.Context, what string, since bool) (Audited, error) {
	const name = "bench audit"
	db, err := store.Open(ctx, store.Config{URL: b.place.databaseURL, Name: name, Connections: 1})
	if err != nil {
		return Audited{}, err
	}
	defer db.Close()
	spilled := b.spilled(ctx)
	watched := b.watchBackend(ctx, name)
	var steps []AuditStep
	began, step := time.Now(), time.Now()
	proof, err := audit.Run(ctx, db, audit.Scope{}, func(check string) {
		if len(steps) > 0 {
			steps[len(steps)-1].Seconds = time.Since(step).Seconds()
		}
		steps, step = append(steps, AuditStep{Name: check}), time.Now()
	})
	a := Audited{What: what, Fresh: proof.Fresh, Seconds: time.Since(began).Seconds()}
	a.CPUSeconds, a.MemoryMiB = watched()
	if err != nil {
		return a, fmt.Errorf("auditing %s: %w", what, err)
	}
	steps[len(steps)-1].Seconds = time.Since(step).Seconds()
	for _, c := range proof.Checks {
		if c.Wrong > 0 {
			return a, fmt.Errorf("auditing %s: %s: %d wrong, %s first", what, c.Name, c.Wrong, c.Findings[0])
		}
	}
	if !proof.Made || (proof.Since != nil) != since {
		return a, fmt.Errorf("auditing %s: it goes on from %+v, and left no checkpoint: %v", what, proof.Since, proof.Unmade)
	}
	slices.SortStableFunc(steps, func(x, y AuditStep) int { return int((y.Seconds - x.Seconds) * 1e6) })
	a.Checks, a.SpilledMiB = steps[:3], b.spilled(ctx)-spilled
	return a, nil
}

// spilled is how much the database has written to temporary files so far, in MiB.
func (b *history) spilled(ctx context.Context) float64 {
	var bytes float64
	// What a backend has counted is told when it is idle, or some time later: it may come too late for the last audit.
	_ = b.db.QueryRowContext(ctx, `SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()`).Scan(&bytes)
	return bytes / (1 << 20)
}

// watchBackend looks at the backend that has this name, now and then, until it is asked for the processor time that it has used since, and
// for the most private memory it had.
func (b *history) watchBackend(ctx context.Context, name string) (used func() (cpuSeconds, mostMiB float64)) {
	var pid int
	err := b.db.QueryRowContext(ctx, `SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()`, name).Scan(&pid)
	if err != nil || !strings.HasPrefix(programOf(pid), "postgres") {
		return func() (float64, float64) { return 0, 0 }
	}
	before := secondsOf(pid, false)
	end, result := make(chan struct{}), make(chan float64)
	go func() {
		peak := 0.0
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				peak = max(peak, privateMiB(pid))
			case <-end:
				result <- peak
				return
			}
		}
	}()
	return func() (float64, float64) { close(end); return secondsOf(pid, false) - before, <-result }
}

// Table is the report for people.
func (r AuditReport) Table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "AUDITED\tEVENTS\tSECONDS\tCPU SECONDS\tMEMORY\tSPILLED\tSLOWEST")
	for _, a := range r.Audits {
		var steps []string
		for _, s := range a.Checks {
			steps = append(steps, fmt.Sprintf("%s %.2f", s.Name, s.Seconds))
		}
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%.2f\t%.0f MiB\t%.0f MiB\t%s\n", a.What, a.Fresh, a.Seconds, a.CPUSeconds, a.MemoryMiB, a.SpilledMiB, strings.Join(steps, ", "))
	}
	_ = w.Flush()
	fmt.Fprintf(&text, "\n%d events in the log, %.1f GiB, made in %.0f s. %s.\n", r.Events, float64(r.Bytes)/(1<<30), r.Built, r.Machine)
	return text.String()
}

// history is a place whose log is made without a fleet.
type history struct {
	place    *place
	db       *sql.DB
	ahead    *store.DB
	sales    int
	progress func(string)
}

func (p *place) newHistory(ctx context.Context, progress func(string)) (*history, error) {
	db, err := p.open(1)
	if err != nil {
		return nil, err
	}
	ahead, err := store.Open(ctx, store.Config{URL: p.databaseURL, Name: "bench", Connections: 1})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	h := &history{place: p, db: db, ahead: ahead, progress: progress}
	for _, w := range workers.Fleet(workers.Config{}) {
		if !w.TracksInbox() {
			continue
		}
		var types []string
		for _, t := range w.Types() {
			types = append(types, string(t))
		}
		if _, err := inbox.Subscribe(ctx, ahead, w.Name(), types); err != nil {
			h.close()
			return nil, err
		}
	}
	if _, err := db.ExecContext(ctx, historyStock, tenant, location, items); err != nil {
		h.close()
		return nil, fmt.Errorf("making positions: %w", err)
	}
	return h, nil
}

func (b *history) close() {
	_ = b.db.Close()
	_ = b.ahead.Close()
}
