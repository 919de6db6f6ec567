package pg

import (
	"database/sql"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// PoolOf opens connections of their own to the database whose unqualified names are those of one schema, for its
// migrations: whatever they set ends with them. The caller closes it.
func PoolOf(db *DB, schema string) (*sql.DB, error) {
	connector, err := newConnector(db.cfg, "SET search_path = "+pq.QuoteIdentifier(schema)+";")
	if err != nil {
		return nil, MapError(err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(2)
	return pool, nil
}

// OpenScratch opens a database whose unqualified names are those of one schema alone, for work that can be thrown away:
// a commit does not wait for the disk, and no ticker is notified of what is appended. The caller closes it.
func OpenScratch(db *DB, schema string, connections int) (*DB, error) {
	cfg := db.cfg
	cfg.Connections = connections
	connector, err := newConnector(cfg, "SET search_path = "+pq.QuoteIdentifier(schema)+"; SET synchronous_commit = off;")
	if err != nil {
		return nil, MapError(err)
	}
	pool := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxLifetime(connMaxLifetime)
	return &DB{pool: pool, cfg: cfg, appended: func() bool { return true }}, nil
}
