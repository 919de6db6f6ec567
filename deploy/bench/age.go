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

// Age is what a sale costs the whole fleet when the log has so many events.
type Age struct {
	Logged int        `json:"logged"` // events in the log before the run
	Fleet  Throughput `json:"fleet"`
	// Reference is the bare reference's, measured right before, and Ratio the fleet's sales over its events.
	Reference Throughput `json:"reference"`
	Ratio     float64    `json:"ratio"`
	// CPURatio is what a sale costs in processor time, in events of the reference; 0 where it cannot be known. The
	// machine's own speed goes up and down by more than age does: only what is measured in the same minute compares.
	CPURatio float64 `json:"cpuRatio,omitzero"`
}

// AgeReport is a run at each age, youngest first, all in one place.
type AgeReport struct {
	Sales   int     `json:"sales"` // in each run
	Ages    []Age   `json:"ages"`
	Machine Machine `json:"machine"`
}

// RunAges measures the whole fleet at ages of the log, in events. Between the runs the log is aged by statements that write what so many
// sales would have left in the log, at the admission, in every inbox and among the movements.
func RunAges(ctx context.Context, cfg Config, ages []int) (report AgeReport, err error) {
	cfg.defaults()
	err = inPlace(ctx, cfg, func(p *place) error {
		report, err = p.measureAges(ctx, cfg, ages)
		return err
	})
	return report, err
}

func (p *place) measureAges(ctx context.Context, cfg Config, ages []int) (report AgeReport, err error) {
	if err := p.furnish(ctx); err != nil {
		return report, err
	}
	report = AgeReport{Sales: cfg.Events, Machine: ThisMachine()}
	// The first run is not reported: it makes the consumers whose inboxes are aged, and the positions.
	from := opening
	for i, age := range append([]int{0}, slices.Sorted(slices.Values(ages))...) {
		logged, err := p.age(ctx, age, cfg.Progress)
		if err != nil {
			return report, fmt.Errorf("ageing the log: %w", err)
		}
		gap := weeks * 7 * 24 * time.Hour / time.Duration(cfg.Events)
		sales, err := newSales(cfg.Events+1, from, gap)
		if err != nil {
			return report, err
		}
		from = from.Add(time.Duration(len(sales)) * gap)
		limited, cancel := context.WithTimeout(ctx, 2*runLimit)
		bare, err := runReference(limited, p.servers, cfg.Events)
		var t Throughput
		if err == nil {
			t, err = p.runWhole(limited, sales, 1)
		}
		cancel()
		if err != nil {
			return report, fmt.Errorf("measuring with %d events in the log: %w", logged, err)
		}
		cfg.Progress(fmt.Sprintf("%d events in the log: %s", logged, t))
		if i > 0 {
			a := Age{Logged: logged, Fleet: t, Reference: bare, Ratio: t.PerSecond / bare.PerSecond}
			if t.Cores.measured() && bare.Cores.measured() {
				a.CPURatio = (t.Cores.ours() / t.PerSecond) / (bare.Cores.ours() / bare.PerSecond)
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

// ageStep is how many sales' traces one statement leaves. Each is two events.
const ageStep = 10_000

// What sales and their updates leave behind, all at once: two events in the log, one at the admission, a row for each hearer in the inbox, two movements.
const leaveTraces = `
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

// age fills the log up to so many events and gives how many it has.
func (p *place) age(ctx context.Context, events int, progress func(string)) (logged int, err error) {
	db, err := p.open(1)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	ahead, err := store.Open(ctx, store.Config{URL: p.databaseURL, Name: "bench", Connections: 1})
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
		if err := p.leaveTraces(ctx, db, min(missing, 20*ageStep)); err != nil {
			return 0, err
		}
	}
	if events > 0 {
		progress(fmt.Sprintf("aged the log to %d events in %s", logged, time.Since(began).Round(time.Second)))
	}
	// Autovacuum would come in the middle of the run, and be counted as the fleet's.
	_, err = db.ExecContext(ctx, `VACUUM (ANALYZE)`)
	return logged, err
}

func (p *place) leaveTraces(ctx context.Context, db *sql.DB, sales int) error {
	for ; sales > 0; sales -= ageStep {
		if _, err := db.ExecContext(ctx, leaveTraces, min(sales, ageStep), tenant); err != nil {
			return err
		}
	}
	return nil
}
