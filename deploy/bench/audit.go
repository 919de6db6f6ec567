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

// AuditReport is what audits of a long log cost.
type AuditReport struct {
	Events int64     `json:"events"` // in the log at the end
	Built  float64   `json:"builtSeconds"`
	Bytes  int64     `json:"databaseBytes"` // at the end
	Audits []Audited `json:"audits"`        // the first checks everything, each later one the events since
	// Machine is where it was measured.
	Machine Machine `json:"machine"`
}

// Audited is one audit.
type Audited struct {
	What    string  `json:"what"`
	Fresh   int64   `json:"fresh"` // events that it checked
	Seconds float64 `json:"seconds"`
	// CPUSeconds is the processor time of its backend; zero where it is unknown.
	CPUSeconds float64 `json:"cpuSeconds,omitzero"`
	// Checks are the seconds of its three slowest steps.
	Checks []AuditStep `json:"slowest"`
	// MemoryMiB is the most private memory that its backend had, and SpilledMiB what it wrote to temporary files; zero
	// where it is unknown.
	MemoryMiB  float64 `json:"memoryMiB,omitzero"`
	SpilledMiB float64 `json:"spilledMiB,omitzero"`
}

// AuditStep is one step of an audit.
type AuditStep struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// freshEvents are added between two audits, or as many as the log began with where those are fewer.
const freshEvents = 20_000

// RunAudit makes a log of a number of events, with all rows that the fleet would have written for them, and audits it:
// first everything, then twice another 20,000 events, or as many as before where those are fewer. An audit that
// does not find them proven is an error.
func RunAudit(ctx context.Context, cfg Config, events int) (AuditReport, error) {
	return measureAlone(ctx, &cfg, func(env *environment) (AuditReport, error) { return env.measureAudits(ctx, cfg, events) })
}

func (env *environment) measureAudits(ctx context.Context, cfg Config, events int) (report AuditReport, err error) {
	b, err := env.newHistory(ctx, cfg.Progress)
	if err != nil {
		return report, fmt.Errorf("making a history: %w", err)
	}
	defer b.close()
	began := time.Now()
	if err := b.fill(ctx, events/2); err != nil {
		return report, fmt.Errorf("making a history: %w", err)
	}
	report = AuditReport{Built: time.Since(began).Seconds(), Machine: ThisMachine()}
	for i, what := range []string{"everything", "what is new", "what is new"} {
		if i > 0 {
			if err := b.add(ctx, min(freshEvents, events)/2); err != nil {
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

// audit times one audit over a pool with one connection, and measures its backend.
func (h *history) audit(ctx context.Context, what string, since bool) (Audited, error) {
	const name = "bench audit"
	db, err := store.Open(ctx, store.Config{URL: h.environment.databaseURL, Name: name, Connections: 1})
	if err != nil {
		return Audited{}, err
	}
	defer db.Close()
	spilled := h.spilled(ctx)
	watched := h.watchBackend(ctx, name)
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
		return a, fmt.Errorf("auditing %s: it continued from %+v and left no checkpoint: %v", what, proof.Since, proof.Unmade)
	}
	slices.SortStableFunc(steps, func(x, y AuditStep) int { return int((y.Seconds - x.Seconds) * 1e6) })
	a.Checks, a.SpilledMiB = steps[:3], h.spilled(ctx)-spilled
	return a, nil
}

// spilled is how much the database has written to temporary files so far, in MiB.
func (h *history) spilled(ctx context.Context) float64 {
	var bytes float64
	// A backend reports its statistics when it is idle, or later: they may be missing for the last audit.
	_ = h.db.QueryRowContext(ctx, `SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()`).Scan(&bytes)
	return bytes / (1 << 20)
}

// watchBackend samples the backend with this name. used ends that and gives the processor time that it has used since,
// and the most private memory it had.
func (h *history) watchBackend(ctx context.Context, name string) (used func() (cpuSeconds, mostMiB float64)) {
	var pid int
	err := h.db.QueryRowContext(ctx, `SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()`, name).Scan(&pid)
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

// history is an environment with a log that is made without a fleet.
type history struct {
	environment *environment
	db          *sql.DB
	store       *store.DB
	sales       int
	progress    func(string)
}

func (env *environment) newHistory(ctx context.Context, progress func(string)) (*history, error) {
	db, err := env.open(1)
	if err != nil {
		return nil, err
	}
	ahead, err := store.Open(ctx, store.Config{URL: env.databaseURL, Name: "bench", Connections: 1})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	h := &history{environment: env, db: db, store: ahead, progress: progress}
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

func (h *history) close() {
	_ = h.db.Close()
	_ = h.store.Close()
}
