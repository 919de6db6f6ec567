package pg

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/jmoiron/sqlx"
)

// Config says where the database is and how much of it to use. Only URL is needed.
type Config struct {
	// URL is a postgres:// URL. Without sslmode, loopback addresses are used in the clear and others with TLS
	// (sslmode=require).
	URL string
	// Current is the URL as it is now, for each new connection; nil: URL stays.
	Current func() string
	// Log gets what is wrong with files that the URL names; nil: slog's default.
	Log *slog.Logger
	// Name is shown in pg_stat_activity: "composerp/ledger".
	Name string
	// Connections is the size of the pool, all kept open; 0 means 4.
	Connections int
	// Appended is called after the commit of a transaction that appended to the log, and reports whether a ticker of
	// this process makes a tick of it. Otherwise, or when it is nil, the tickers of other processes are notified.
	Appended func() bool
}

const connMaxLifetime = 5 * time.Minute

// DB is a pool of connections to one Composerp database. It is safe for concurrent use.
type DB struct {
	pool          *sqlx.DB
	cfg           Config // holds the password
	state         states
	appended      func() bool
	prepared      preparations
	announcements announcer
}

// Open connects and checks that the server answers, is new enough, keeps text as UTF-8 and gives each connection a
// session of its own. It does not check the schema: see store.CheckSchema.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	connector, err := newConnector(cfg, "")
	if err != nil {
		return nil, MapError(err)
	}
	pool := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	n := cfg.Connections
	if n <= 0 {
		n = 4
	}
	db := &DB{pool: pool, cfg: cfg, appended: cfg.Appended}
	pool.SetMaxOpenConns(max(n, 2)) // two for checkSessions
	if err := db.checkServer(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	pool.SetConnMaxLifetime(connMaxLifetime)
	return db, nil
}

// Close closes every connection, after the announcements that are under way; it waits for these a second at most.
func (db *DB) Close() error {
	db.announcements.wait(time.Second)
	return db.pool.Close()
}

type appendNoted struct{ bool }

// NoteAppended calls Config.Appended once, after the transaction's commit. When no ticker of this process has taken the
// hint it runs elsewhere in the background, once for all commits that come while it waits for its turn.
func NoteAppended(tx Tx, elsewhere func(*DB)) {
	noted, db := TxState[appendNoted](tx), DBOf(tx)
	if noted.bool {
		return
	}
	noted.bool = true
	OnCommit(tx, func() {
		if db.appended == nil || !db.appended() {
			db.announcements.ask(func() { elsewhere(db) })
		}
	})
}
