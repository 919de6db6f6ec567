// Package processes has the gauges of processes.
//
// They are read from the database at each scrape. Each process of the program has a series, 0 while it has no such
// instance. A scrape that fails, or a crash, leaves nothing behind.
package processes

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/process"
	"github.com/composerp/composerp/workers/worker/scrape"
)

// Register adds the gauges for the processes of these names.
func Register(r prometheus.Registerer, db *store.DB, names []string) {
	scrape.RegisterBy(r, "process", "composerp_process_open",
		"Instances of a process that have not ended. Absent when the database does not answer.",
		func(ctx context.Context) (map[string]int64, error) {
			return read(ctx, db, names, func(c process.Count) int64 { return c.Open })
		})
	scrape.RegisterBy(r, "process", "composerp_process_stuck",
		"Instances of a process that do not go on as they should: a timer fails or is overdue. Absent when the database does not answer.",
		func(ctx context.Context) (map[string]int64, error) {
			return read(ctx, db, names, func(c process.Count) int64 { return c.Stuck })
		})
}

func read(ctx context.Context, db *store.DB, names []string, value func(process.Count) int64) (map[string]int64, error) {
	values := make(map[string]int64, len(names))
	for _, name := range names {
		values[name] = 0
	}
	counts, err := process.Counts(ctx, db)
	for _, c := range counts {
		if _, is := values[c.Process]; is { // else of another version of the program
			values[c.Process] += value(c)
		}
	}
	return values, err
}
