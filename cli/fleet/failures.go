package fleet

import (
	"context"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/parking"
	"github.com/composerp/composerp/workers/worker/scrape"
)

// RegisterFailures adds gauges of the whole fleet's failures, read from the database
// at each scrape, and absent when it does not answer. Dependencies and classes are no closed
// set, so they are counted and not named; the doctor names them.
func RegisterFailures(r prometheus.Registerer, db *store.DB) {
	scrape.Register(r, "composerp_open_circuits", "Dependencies whose circuit is open: they are away, and only probes are sent.", func(ctx context.Context) (int64, error) {
		circuits, err := failures.OpenCircuits(ctx, db)
		return int64(len(circuits)), err
	})
	scrape.Register(r, "composerp_lone_probes", "Open circuits that the same call alone has probed in vain for a minute and more: it may be at fault, not the dependency.", func(ctx context.Context) (int64, error) {
		circuits, err := failures.OpenCircuits(ctx, db)
		lone := slices.DeleteFunc(circuits, func(c failures.CircuitState) bool { return !c.Lone })
		return int64(len(lone)), err
	})
	scrape.Register(r, "composerp_quarantined_classes", "Classes of failing events that are held back until they are released.", func(ctx context.Context) (int64, error) {
		n, err := failures.QuarantinedClasses(ctx, db)
		return int64(n), err
	})
	scrape.RegisterByQueue(r, "composerp_dead_letters_oldest_timestamp_seconds", "When the oldest dead letter of the queue died that waits for a person; absent when none waits.", func(ctx context.Context) (map[string]int64, error) {
		died, err := failures.OldestLetters(ctx, db)
		oldest := map[string]int64{}
		for queue, at := range died {
			oldest[queue] = at.Unix()
		}
		return oldest, err
	})
	scrape.Register(r, "composerp_parked_aggregates", "Aggregates whose events wait behind one that failed, in queues with lanes.", func(ctx context.Context) (int64, error) {
		return parking.Count(ctx, db)
	})
}
