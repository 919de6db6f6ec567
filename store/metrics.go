package store

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/composerp/composerp/store/internal/pg"
)

// Collector has the metrics go_sql_* of a pool: its sessions, and what waited for one. Its label db_name is the pool's
// name.
func Collector(db *DB, pool string) prometheus.Collector {
	return collectors.NewDBStatsCollector(pg.Pool(db), pool)
}
