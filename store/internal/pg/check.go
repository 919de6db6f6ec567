package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/lib/pq"
)

// oldestServer is the oldest PostgreSQL that the statements here support.
const oldestServer = 150000

func (db *DB) checkServer(ctx context.Context) error {
	var version int
	if err := db.pool.GetContext(ctx, &version, `SELECT current_setting('server_version_num')::int`); err != nil {
		return fmt.Errorf("connecting to the database: %w", mapConnect(err))
	}
	if version < oldestServer {
		return fmt.Errorf("%w: PostgreSQL %d is too old, 15 or later is needed", ErrConfiguration, version/10000)
	}
	var encoding string
	if err := db.pool.GetContext(ctx, &encoding, `SELECT current_setting('server_encoding')`); err != nil {
		return fmt.Errorf("connecting to the database: %w", MapError(err))
	}
	if encoding != "UTF8" {
		return fmt.Errorf("%w: the database's encoding is %s, and events are UTF-8: create one with TEMPLATE template0 ENCODING 'UTF8'",
			ErrConfiguration, encoding)
	}
	return db.checkSessions(ctx)
}

// errPooled says what to do about a pooler between this program and PostgreSQL.
var errPooled = fmt.Errorf("%w: PgBouncer, or another pooler, gives each transaction another session, and the fleet needs sessions of its own "+
	"(LISTEN, locks, prepared statements): set pool_mode = session for this database, or connect to PostgreSQL itself", ErrConfiguration)

// checkSessions asks two connections for their backends, in an order in which neither one backend for both nor several
// in turn give each connection the same twice and the other one another.
func (db *DB) checkSessions(ctx context.Context) error {
	var conns [2]*sql.Conn
	for i := range conns {
		conn, err := db.pool.Conn(ctx)
		if err != nil {
			return fmt.Errorf("connecting to the database: %w", MapError(err))
		}
		defer func() { _ = conn.Close() }()
		conns[i] = conn
	}
	var backends [2]int
	for _, i := range []int{0, 1, 1, 0, 0, 1} {
		var pid int
		if err := conns[i].QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			return fmt.Errorf("connecting to the database: %w", MapError(err))
		}
		if backends[i] != 0 && backends[i] != pid || backends[1-i] == pid {
			return errPooled
		}
		backends[i] = pid
	}
	return nil
}

// mapConnect is MapError for the first connection: what is refused then stands in the URL or in a PG* variable.
func mapConnect(err error) error {
	var refused *pq.Error
	if !errors.As(err, &refused) {
		return MapError(err)
	}
	switch {
	case refused.Code == "42704", refused.Code == "22023", refused.Code == "55P02": // unknown, not a value, not to be set
		return fmt.Errorf("%w: the database URL, or PGOPTIONS, has a parameter that neither the driver nor the server takes; remove it: %w", ErrConfiguration, err)
	case strings.HasPrefix(refused.Message, "unsupported startup parameter"):
		return fmt.Errorf("%w: PgBouncer takes no such parameter of the database URL; remove it, or name it in ignore_startup_parameters: %w", ErrConfiguration, err)
	}
	return MapError(err)
}
