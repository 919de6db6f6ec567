package audit

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/workers/worker/scrape"
)

// Register adds the gauges of audits, read from the database at each scrape: what the last one found, when it ended,
// and how far the log has gone on without a proof.
// An audit with findings in the database leaves no proof, so that it does not lower the gauge; what it finds in queues
// is among the watchdog's problems.
func Register(r prometheus.Registerer, db *store.DB) {
	scrape.Register(r, "composerp_audit_unproven_seconds",
		"For how long the log has gone on since an audit last found nothing wrong in the database, or since its beginning; absent when the database does not answer.",
		func(ctx context.Context) (int64, error) {
			last, err := audit.ReadLastProof(ctx, db)
			return int64(last.Since.Seconds()), err
		})
	scrape.RegisterEach(r, func(ctx context.Context) (audit.Result, error) { return audit.LastResult(ctx, db) },
		scrape.Gauge[audit.Result]{
			Name:  "composerp_audit_findings",
			Help:  "Findings of the last audit; absent before the first, and when the database does not answer.",
			Value: func(last audit.Result) int64 { return last.Findings },
		},
		scrape.Gauge[audit.Result]{
			Name:  "composerp_audit_last_timestamp_seconds",
			Help:  "When the last audit ended; absent before the first, and when the database does not answer.",
			Value: func(last audit.Result) int64 { return last.EndedAt.Unix() },
		})
}
