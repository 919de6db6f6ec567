package pg

import (
	"database/sql"

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
