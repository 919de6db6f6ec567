// Package rebuilds has the gauges of rebuilds of read models.
//
// They are read from the database at each scrape, so that a rebuild whose process has ended shows too: it moves no
// more. Each projection of the program has a series, 0 while it has no rebuild. A scrape that fails, or a crash, leaves
// nothing behind.
package rebuilds

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/projection"
	"github.com/composerp/composerp/workers/worker/scrape"
)

// Register adds the gauges for the projections of these names.
func Register(r prometheus.Registerer, db *store.DB, names []string) {
	scrape.RegisterBy(r, "projection", "composerp_projection_rebuild_still_seconds",
		"For how long a rebuild of a read model has not moved, and keeps the log's ticks; 0 without a rebuild. Absent when the database does not answer.",
		func(ctx context.Context) (map[string]int64, error) {
			return read(ctx, db, names, func(s projection.Standing) (int64, error) { return s.Seconds, nil })
		})
	scrape.RegisterBy(r, "projection", "composerp_projection_rebuild_behind_events",
		"Log positions that a rebuild of a read model has not read; 0 without a rebuild. Absent when the database does not answer.",
		func(ctx context.Context) (map[string]int64, error) {
			return read(ctx, db, names, func(s projection.Standing) (int64, error) { return projection.Behind(ctx, db, s.Name) })
		})
}

func read(ctx context.Context, db *store.DB, names []string, value func(projection.Standing) (int64, error)) (map[string]int64, error) {
	values := make(map[string]int64, len(names))
	for _, name := range names {
		values[name] = 0
	}
	rebuilds, err := projection.StandingRebuilds(ctx, db, 0)
	for _, s := range rebuilds {
		if _, is := values[s.Name]; !is || err != nil {
			continue // of another version of the program
		}
		values[s.Name], err = value(s)
	}
	return values, err
}
