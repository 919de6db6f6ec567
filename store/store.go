package store

import (
	"context"

	"github.com/composerp/composerp/store/internal/pg"
)

// The kernel is implemented in internal/pg, so that only packages under store/ can run SQL. The rest of the program
// uses the names below.
type (
	// DB is a pool of connections to one Composerp database. It is safe for concurrent use.
	DB = pg.DB
	// Config says where the database is and how much of it to use. Only URL is needed.
	Config = pg.Config
	// Tx is an open transaction for the functions under store/. It offers no SQL and no way to end it.
	Tx = pg.Tx
	// Transaction is a Tx owned by the caller, who ends it by Commit or Rollback.
	Transaction = pg.Transaction
)

// Open connects and checks that the server answers and is new enough. It does not check the schema: see CheckSchema.
func Open(ctx context.Context, cfg Config) (*DB, error) { return pg.Open(ctx, cfg) }

// Database errors by kind, mapped once from their SQLSTATE. Callers use errors.Is.
var (
	// ErrUnavailable: the server cannot be reached, is starting, stopping, full or read-only. Try later.
	ErrUnavailable = pg.ErrUnavailable
	// ErrUnwritable is ErrUnavailable of a server that answers but takes no writes: disk full, or a standby.
	ErrUnwritable = pg.ErrUnwritable
	// ErrRetryable: a deadlock, lock timeout or serialization failure. Retrying the transaction will probably succeed.
	ErrRetryable = pg.ErrRetryable
	// ErrLocked is ErrRetryable of a statement whose lock_timeout has passed.
	ErrLocked = pg.ErrLocked
	// ErrAccess: the password, the user or a permission is wrong.
	ErrAccess = pg.ErrAccess
	// ErrSchema: a table or column is missing or of another version.
	ErrSchema = pg.ErrSchema
	// ErrNotFound: there is no such row.
	ErrNotFound = pg.ErrNotFound
	// ErrConfiguration: the settings cannot work.
	ErrConfiguration = pg.ErrConfiguration
	// ErrNotLeader: the lease has another term by now.
	ErrNotLeader = pg.ErrNotLeader
)
