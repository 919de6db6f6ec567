package bench

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// Age is what a sale costs the whole fleet with a log of a length.
type Age struct {
	Logged int        `json:"logged"` // events in the log before the run
	Fleet  Throughput `json:"fleet"`
	// Reference is the bare reference's, measured right before, and Ratio the fleet's sales over its events.
	Reference Throughput `json:"reference"`
	Ratio     float64    `json:"ratio"`
	// CPURatio is what a sale costs in processor time, in events of the reference; 0 where it is unknown. The
	// machine's own speed varies by more than the age's effect: only figures of the same minute can be compared.
	CPURatio float64 `json:"cpuRatio,omitzero"`
}

// AgeReport is a run at each age, the shortest log first, all in one environment.
type AgeReport struct {
	Sales   int     `json:"sales"` // in each run
	Ages    []Age   `json:"ages"`
	Machine Machine `json:"machine"`
}

// RunAges measures the whole fleet at ages of the log, in events. Between the runs, statements write the rows that
// sales leave in the log, the admission, every inbox and the movements.
func RunAges(ctx context.Context, cfg Config, ages []int) (AgeReport, error) {
	return measureAlone(ctx, &cfg, func(env *environment) (AgeReport, error) { return env.measureAges(ctx, cfg, ages) })
}

func (env *environment) measureAges(ctx context.Context, cfg Config, ages []int) (report AgeReport, err error) {
	if err := env.insertMasterData(ctx); err != nil {
		return report, err
	}
	report = AgeReport{Sales: cfg.Events, Machine: ThisMachine()}
	// The first run is not reported: it makes the consumers whose inboxes are aged, and the positions.
	from := opening
	for i, age := range append([]int{0}, slices.Sorted(slices.Values(ages))...) {
		logged, err := env.age(ctx, age, cfg.Progress)
		if err != nil {
			return report, fmt.Errorf("ageing the log: %w", err)
		}
		gap := weeks * 7 * 24 * time.Hour / time.Duration(cfg.Events)
		sales, err := newSales(cfg.Events+1, items, from, gap)
		if err != nil {
			return report, err
		}
		from = from.Add(time.Duration(len(sales)) * gap)
		limited, cancel := context.WithTimeout(ctx, 2*runLimit)
		reference, err := runReference(limited, env.servers, cfg.Events)
		var t Throughput
		if err == nil {
			t, err = env.runWhole(limited, sales)
		}
		cancel()
		if err != nil {
			return report, fmt.Errorf("measuring with %d events in the log: %w", logged, err)
		}
		cfg.Progress(fmt.Sprintf("%d events in the log: %s", logged, t))
		if i > 0 {
			a := Age{Logged: logged, Fleet: t, Reference: reference, Ratio: t.PerSecond / reference.PerSecond}
			if t.Cores.measured() && reference.Cores.measured() {
				a.CPURatio = (t.Cores.ours() / t.PerSecond) / (reference.Cores.ours() / reference.PerSecond)
			}
			report.Ages = append(report.Ages, a)
		}
	}
	return report, nil
}

// Table is the report for people.
func (r AgeReport) Table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EVENTS IN THE LOG\tSALES A SECOND\tTHE REFERENCE'S EVENTS\tRATIO\tCPU A SALE, IN THE REFERENCE'S EVENTS")
	for _, a := range r.Ages {
		fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%.3f\t%.1f\n", a.Logged, a.Fleet.PerSecond, a.Reference.PerSecond, a.Ratio, a.CPURatio)
	}
	_ = w.Flush()
	fmt.Fprintf(&text, "\nThe whole fleet, %d sales a run. %s.\n", r.Sales, r.Machine)
	return text.String()
}

// ageStep is the number of sales that one statement inserts, each with two events.
const ageStep = 10_000

// The rows of sales and their updates: two events in the log, one admission, an inbox row for each consumer, two
// movements.
const insertSales = `
WITH made AS (
    INSERT INTO event_log (epoch, publish, occurred_at, event_id, tenant_id, type, version, aggregate_id, body_sha256, body)
    SELECT 1, false, now(), gen_random_uuid(), $2, t, '1.0', i::text, sha256(convert_to(i::text, 'UTF8')), repeat('x', 560)
    FROM generate_series(1, $1::int) i CROSS JOIN (VALUES ('SALE_COMPLETED'), ('INVENTORY_UPDATED')) v(t)
    RETURNING event_id, seq, type, body_sha256, occurred_at
), admitted AS (
    INSERT INTO admission (event_id, body_sha256, seq) SELECT event_id, body_sha256, seq FROM made WHERE type = 'SALE_COMPLETED'
), moved AS (
    INSERT INTO movement (event_id, line, position_id, sequence, quantity, on_hand, type, occurred_at)
    SELECT event_id, line, line, seq, 0, 0, 'SALE', occurred_at FROM made CROSS JOIN generate_series(0, 1) line WHERE type = 'SALE_COMPLETED'
)
INSERT INTO inbox (generation, consumer, event_id)
SELECT (SELECT max(generation) FROM inbox_generation), s.consumer, e.event_id FROM made e JOIN subscription s USING (type)`

// age fills the log up to a number of events and gives how many it has.
func (env *environment) age(ctx context.Context, events int, progress func(string)) (logged int, err error) {
	db, err := env.open(1)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	ahead, err := store.Open(ctx, store.Config{URL: env.databaseURL, Name: "bench", Connections: 1})
	if err != nil {
		return 0, err
	}
	defer ahead.Close()
	began := time.Now()
	for {
		if err := db.QueryRowContext(ctx, `SELECT count(*) FROM event_log`).Scan(&logged); err != nil {
			return 0, err
		}
		missing := (events - logged) / 2
		if missing <= 0 {
			break
		}
		if err := eventlog.EnsurePartitions(ctx, ahead); err != nil {
			return 0, err
		}
		if err := env.insertSales(ctx, db, min(missing, 20*ageStep)); err != nil {
			return 0, err
		}
	}
	if events > 0 {
		progress(fmt.Sprintf("aged the log to %d events in %s", logged, time.Since(began).Round(time.Second)))
	}
	// Without this, autovacuum would run during the measurement and count as the fleet's work.
	_, err = db.ExecContext(ctx, `VACUUM (ANALYZE)`)
	return logged, err
}

func (env *environment) insertSales(ctx context.Context, db *sql.DB, sales int) error {
	for ; sales > 0; sales -= ageStep {
		if _, err := db.ExecContext(ctx, insertSales, min(sales, ageStep), tenant); err != nil {
			return err
		}
	}
	return nil
}
