package pg

import (
	"database/sql"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// OpenSchema opens connections to the database whose unqualified names are those of one schema alone; settings are
// further statements for each of them. No ticker is notified of what is appended there. The caller closes it.
func OpenSchema(db *DB, schema string, connections int, settings string) (*DB, error) {
	cfg := db.cfg
	cfg.Connections = connections
	connector, err := newConnector(cfg, "SET search_path = "+pq.QuoteIdentifier(schema)+";"+settings)
	if err != nil {
		return nil, MapError(err)
	}
	pool := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxLifetime(connMaxLifetime)
	return &DB{pool: pool, cfg: cfg, appended: func() bool { return true }}, nil
}
