package audit

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/audit"
	"github.com/composerp/composerp/workers/worker/scrape"
)

// RegisterUnproven adds a gauge of how far the log has gone on without a proof, read from the database at each scrape.
// An audit with findings in the database leaves no proof, so that it does not lower the gauge; what it finds in queues
// is among the watchdog's problems.
func RegisterUnproven(r prometheus.Registerer, db *store.DB) {
	scrape.Register(r, "composerp_audit_unproven_seconds",
		"For how long the log has gone on since an audit last found nothing wrong in the database, or since its beginning; absent when the database does not answer.",
		func(ctx context.Context) (int64, error) {
			last, err := audit.ReadLastProof(ctx, db)
			return int64(last.Since.Seconds()), err
		})
}
