package bench

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/operatorlog"
	"github.com/composerp/composerp/store/projection"
	"github.com/composerp/composerp/workers"
)

// CopyGoal is how many times longer than a COPY of its events a rebuild takes at most.
const CopyGoal = 3.0

// ProjectionReport is how long rebuilds take beside a COPY of the events that they read.
type ProjectionReport struct {
	Events   int64     `json:"events"`
	Copy     float64   `json:"copySeconds"`
	Rebuilds []Rebuilt `json:"rebuilds"`
	Machine  Machine   `json:"machine"`
}

// Rebuilt is the rebuild of one projection from the whole log.
type Rebuilt struct {
	Name    string  `json:"name"`
	Rows    int64   `json:"rows"` // of its tables
	Seconds float64 `json:"seconds"`
	// Ratio is how many times longer it took than the COPY.
	Ratio float64 `json:"ratio"`
}

// RunProjections makes a log of a number of events, copies its rows by COPY into a table with the log's columns and
// primary key, and rebuilds each projection from it.
func RunProjections(ctx context.Context, cfg Config, events int) (ProjectionReport, error) {
	return measureAlone(ctx, &cfg, func(env *environment) (ProjectionReport, error) { return env.measureProjections(ctx, cfg, events) })
}

func (env *environment) measureProjections(ctx context.Context, cfg Config, events int) (report ProjectionReport, err error) {
	b, err := env.newHistory(ctx, cfg.Progress)
	if err != nil {
		return report, fmt.Errorf("making a history: %w", err)
	}
	defer b.close()
	if err := b.fill(ctx, events/2); err != nil {
		return report, fmt.Errorf("making a history: %w", err)
	}
	report.Machine = ThisMachine()
	if report.Events, report.Copy, err = b.copyLog(ctx); err != nil {
		return report, fmt.Errorf("copying the log: %w", err)
	}
	cfg.Progress(fmt.Sprintf("copied %d events in %.2f s", report.Events, report.Copy))
	db, err := store.Open(ctx, store.Config{URL: env.databaseURL, Name: "bench rebuild", Connections: 4})
	if err != nil {
		return report, err
	}
	defer db.Close()
	for _, p := range workers.Projections() {
		began := time.Now()
		if err := projection.Rebuild(ctx, db, p, "bench", operatorlog.By{Operator: "bench"}, nil); err != nil {
			return report, fmt.Errorf("rebuilding %s: %w", p.Name, err)
		}
		r := Rebuilt{Name: p.Name, Seconds: time.Since(began).Seconds()}
		r.Ratio = r.Seconds / report.Copy
		diff, err := projection.Diff(ctx, db, p, "bench", 0)
		if err != nil {
			return report, fmt.Errorf("comparing %s: %w", p.Name, err)
		}
		for _, t := range diff.Totals {
			r.Rows += t.Same + t.Added + t.Changed
		}
		if r.Rows == 0 { // the history has no forecasts
			continue
		}
		report.Rebuilds = append(report.Rebuilds, r)
		cfg.Progress(fmt.Sprintf("rebuilt %s in %.2f s", p.Name, r.Seconds))
	}
	return report, nil
}

var logColumns = []string{"seq", "epoch", "publish", "occurred_at", "event_id", "tenant_id", "type", "version", "aggregate_id", "body_sha256", "body"}

// copyLog reads the log's rows, and times a COPY of them into an empty table.
func (h *history) copyLog(ctx context.Context) (n int64, seconds float64, err error) {
	const create = `CREATE TABLE log_copy (LIKE event_log INCLUDING DEFAULTS); ALTER TABLE log_copy ADD PRIMARY KEY (seq)`
	if _, err := h.db.ExecContext(ctx, create); err != nil {
		return 0, 0, err
	}
	rows, err := h.rows(ctx)
	if err != nil {
		return 0, 0, err
	}
	tx, err := h.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, 0, err
	}
	defer tx.Rollback()
	began := time.Now()
	copying, err := tx.PrepareContext(ctx, "COPY log_copy ("+strings.Join(logColumns, ", ")+") FROM STDIN")
	if err != nil {
		return 0, 0, err
	}
	for _, row := range rows {
		if _, err := copying.ExecContext(ctx, row...); err != nil {
			return 0, 0, err
		}
	}
	if _, err := copying.ExecContext(ctx); err != nil {
		return 0, 0, err
	}
	if err := copying.Close(); err != nil {
		return 0, 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, 0, err
	}
	seconds = time.Since(began).Seconds()
	_, err = h.db.ExecContext(ctx, `DROP TABLE log_copy`)
	return int64(len(rows)), seconds, err
}

func (h *history) rows(ctx context.Context) (all [][]any, err error) {
	found, err := h.db.QueryContext(ctx, "SELECT "+strings.Join(logColumns, ", ")+" FROM event_log ORDER BY seq")
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		row, into := make([]any, len(logColumns)), make([]any, len(logColumns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		row[4] = string(row[4].([]byte)) // an id: as bytes it would be copied as a bytea
		all = append(all, row)
	}
	return all, found.Err()
}

// Table is the report for people.
func (r ProjectionReport) Table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FROM THE LOG\tEVENTS\tROWS\tSECONDS\tEVENTS A SECOND\tTIMES A COPY\tGOAL")
	fmt.Fprintf(w, "a COPY of its rows\t%d\t%d\t%.2f\t%.0f\t1.0\t\n", r.Events, r.Events, r.Copy, float64(r.Events)/r.Copy)
	for _, b := range r.Rebuilds {
		goal := fmt.Sprintf("at most %.0f: met", CopyGoal)
		if b.Ratio > CopyGoal {
			goal = fmt.Sprintf("at most %.0f: MISSED", CopyGoal)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.2f\t%.0f\t%.1f\t%s\n", b.Name, r.Events, b.Rows, b.Seconds, float64(r.Events)/b.Seconds, b.Ratio, goal)
	}
	_ = w.Flush()
	fmt.Fprintf(&text, "\n%s.\n", r.Machine)
	return text.String()
}
