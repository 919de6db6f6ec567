package store

import (
	"context"
	"time"

	"github.com/composerp/composerp/store/internal/pg"
)

// ServerState is what a PostgreSQL server reports about itself.
type ServerState struct {
	Version        string    `db:"version"` // "15.14"
	Now            time.Time `db:"now"`     // by the server's clock, when it answered
	Connections    int       `db:"connections"`
	MaxConnections int       `db:"max_connections"`
	// The settings that decide what a crash of the machine may cost; with all three true nothing is lost. Commits
	// means that a commit waits for the disk.
	Fsync          bool `db:"fsync"`
	FullPageWrites bool `db:"full_page_writes"`
	Commits        bool `db:"commits"`
	// Standby means that the server follows another and takes no writes.
	Standby bool `db:"standby"`
	// Followers is how many standbys follow the server. Waits means that a commit waits until a standby has it, too.
	Followers int  `db:"followers"`
	Waits     bool `db:"waits"`
}

var serverState = pg.SQL(`
SELECT split_part(current_setting('server_version'), ' ', 1) AS version, clock_timestamp() AS now,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('max_connections')::int AS max_connections, current_setting('fsync')::bool AS fsync,
       current_setting('full_page_writes')::bool AS full_page_writes, current_setting('synchronous_commit') <> 'off' AS commits,
       pg_is_in_recovery() AS standby, (SELECT count(*) FROM pg_stat_replication) AS followers,
       current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') IN ('on', 'remote_apply') AS waits`)

// InspectServer asks the server about itself. It needs no schema.
func InspectServer(ctx context.Context, db *DB) (ServerState, error) {
	return pg.OneAlone[ServerState](ctx, db, "inspecting the database server", serverState)
}

var schemaVersion = pg.SQL(`SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`)

// SchemaVersion is the last migration applied, which may be newer than this program. It returns ErrSchema when the
// database was never migrated.
func SchemaVersion(ctx context.Context, db *DB) (int64, error) {
	return pg.OneAlone[int64](ctx, db, "reading the schema's version", schemaVersion)
}

var serverTime = pg.SQL(`SELECT clock_timestamp()`)

// ServerTime reads the database's clock.
func ServerTime(ctx context.Context, db *DB) (time.Time, error) {
	return pg.One[time.Time](ctx, db, "reading the database's clock", serverTime)
}
