package pg

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
)

// Config says where the database is and how much of it to use. Only URL is needed.
type Config struct {
	// URL is a postgres:// URL. Without sslmode, loopback addresses are used in the clear and others with TLS
	// (sslmode=require).
	URL string
	// Name is shown in pg_stat_activity: "composerp/ledger".
	Name string
	// Connections is the size of the pool, all kept open; 0 means 4.
	Connections int
	// Appended is called after the commit of a transaction that appended to the log: a hint for a ticker in the same
	// process.
	Appended func()
}

// Session settings: no statement, lock wait or idle transaction outlives its client's deadline, even when the
// network is gone.
const (
	statementTimeout = 60 * time.Second
	lockTimeout      = 10 * time.Second
	idleInTxTimeout  = 5 * time.Second
	connectTimeout   = 10 * time.Second
	connMaxLifetime  = 5 * time.Minute
)

// DB is a pool of connections to one Composerp database. It is safe for concurrent use.
type DB struct {
	pool     *sqlx.DB
	source   string // the driver's connection string; holds the password
	state    states
	appended func()
	prepared preparations
}

// Open connects and checks that the server answers and is new enough. It does not check the schema: see
// store.CheckSchema.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	dsn, err := dataSource(cfg)
	if err != nil {
		return nil, err
	}
	connector, err := pq.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("%w: reading the database URL: %s", ErrConfiguration, redact(err.Error(), cfg.URL))
	}
	connector.Dialer(keepAliveDialer{})
	pool := sqlx.NewDb(sql.OpenDB(connector), "postgres")
	n := cfg.Connections
	if n <= 0 {
		n = 4
	}
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	pool.SetConnMaxLifetime(connMaxLifetime)
	db := &DB{pool: pool, source: dsn, appended: cfg.Appended}
	if err := db.checkServer(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// Close closes every connection.
func (db *DB) Close() error { return db.pool.Close() }

// dataSource adds the session settings to the URL; settings in the URL take precedence.
func dataSource(cfg Config) (string, error) {
	if cfg.URL == "" {
		return "", fmt.Errorf("%w: no database URL given", ErrConfiguration)
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "", fmt.Errorf("%w: the database URL must read postgres://user:password@host:port/database", ErrConfiguration)
	}
	q := u.Query()
	set := func(key, value string) {
		if !q.Has(key) {
			q.Set(key, value)
		}
	}
	mode := "require"
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip.IsLoopback() {
		mode = "disable"
	}
	set("sslmode", mode)
	set("application_name", cmp.Or(cfg.Name, "composerp"))
	set("connect_timeout", fmt.Sprint(int(connectTimeout.Seconds())))
	set("statement_timeout", fmt.Sprint(statementTimeout.Milliseconds()))
	set("lock_timeout", fmt.Sprint(lockTimeout.Milliseconds()))
	set("idle_in_transaction_session_timeout", fmt.Sprint(idleInTxTimeout.Milliseconds()))
	set("timezone", "UTC")
	// The log's order and the inbox rely on it; a server may have another default.
	set("default_transaction_isolation", "read committed")
	// Statements here are short, and their cost over many partitions is overestimated: compiling takes longer than
	// running.
	set("jit", "off")
	// The hot tables are in memory, where a lookup by key costs no more than the next row of a scan. With the default
	// the planner scans all positions to find the 400 of a batch: 33 ms instead of 3.
	set("random_page_cost", "1.1")
	// Cached plans may have been made while a table was empty, when a sequential scan was cheapest.
	set("enable_seqscan", "off")
	// For a batch of one the planner would replan every time: it estimates arrays of unknown length higher.
	set("plan_cache_mode", "force_generic_plan")
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// oldestServer is the oldest PostgreSQL that the statements here support.
const oldestServer = 150000

func (db *DB) checkServer(ctx context.Context) error {
	var version int
	if err := db.pool.GetContext(ctx, &version, `SELECT current_setting('server_version_num')::int`); err != nil {
		return fmt.Errorf("connecting to the database: %w", MapError(err))
	}
	if version < oldestServer {
		return fmt.Errorf("%w: PostgreSQL %d is too old, 15 or later is needed", ErrConfiguration, version/10000)
	}
	return nil
}

type appendNoted struct{ bool }

// NoteAppended calls Config.Appended once, after the transaction's commit.
func NoteAppended(tx Tx) {
	noted, appended := TxState[appendNoted](tx), DBOf(tx).appended
	if noted.bool || appended == nil {
		return
	}
	noted.bool = true
	OnCommit(tx, appended)
}
