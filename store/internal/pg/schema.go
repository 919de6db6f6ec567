package pg

import (
	"database/sql"
	"fmt"
	"net/url"

	"github.com/lib/pq"
)

// PoolOf opens connections of their own to the database whose unqualified names are those of one schema, for its
// migrations: whatever they set ends with them. The caller closes it.
func PoolOf(db *DB, schema string) (*sql.DB, error) {
	u, err := url.Parse(db.source)
	if err != nil {
		return nil, fmt.Errorf("%w: reading the database URL", ErrConfiguration)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	connector, err := pq.NewConnector(u.String())
	if err != nil {
		return nil, fmt.Errorf("%w: reading the database URL", ErrConfiguration)
	}
	connector.Dialer(keepAliveDialer{})
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(2)
	return pool, nil
}
