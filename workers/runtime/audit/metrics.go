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
	scrape.Register(r, "composerp_audit_findings", "Findings of the last audit; absent before the first, and when the database does not answer.",
		func(ctx context.Context) (int64, error) {
			last, err := audit.LastResult(ctx, db)
			return last.Findings, err
		})
	scrape.Register(r, "composerp_audit_last_timestamp_seconds", "When the last audit ended; absent before the first, and when the database does not answer.",
		func(ctx context.Context) (int64, error) {
			last, err := audit.LastResult(ctx, db)
			return last.EndedAt.Unix(), err
		})
}
