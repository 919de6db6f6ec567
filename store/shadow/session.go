package shadow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lib/pq"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Table is a table that a worker keeps. Its names are constants of the program.
type Table struct {
	Name string
	// Key are the columns that identify a row, none of them drawn from a sequence. A table without is not compared.
	Key []string
	// Except are the columns that are not compared: numbers from a sequence, and times of the clock.
	Except []string
}

// ErrGone means that the copies ended with their connection: copy again.
var ErrGone = errors.New("the connection with the copied tables has ended")

// Session copies tables, and compares what becomes of the copies with what became of the tables. It is not safe for
// concurrent use.
type Session struct {
	db     *store.DB
	tables []Table
	live   string // the schema, quoted

	since string    // the copies' snapshot
	at    time.Time // its time
	until string    // the snapshot of the last window that was compared
}

// Open makes a session. Its pool must be of one connection and is its own from now on: temporary tables belong to a
// connection.
func Open(db *store.DB, tables []Table) *Session {
	pool := pg.Pool(db)
	pool.SetMaxOpenConns(1)
	pool.SetMaxIdleConns(1)
	pool.SetConnMaxLifetime(0)
	return &Session{db: db, tables: tables}
}

// Copied is what Copy did.
type Copied struct {
	At   time.Time
	Rows int64
}

type moment struct {
	Snapshot string    `db:"snapshot"`
	At       time.Time `db:"at"`
	Schema   string    `db:"schema"`
}

var readMoment = pg.SQL(`SELECT pg_current_snapshot()::text AS snapshot, clock_timestamp() AS at, current_schema() AS schema`)

// copyBounds are those of a session's statements: copying may take longer than other statements do.
const copyBounds = "SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '2s'"

// copyTable copies a table with its indexes. Columns that are computed are left out of the list, numbers of an identity
// column go on behind the copied ones.
const copyTable = `
DO $do$
DECLARE
    live    regclass := %[1]s::regclass;
    columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                     WHERE attrelid = live AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
    drawn   text;
BEGIN
    DROP TABLE IF EXISTS pg_temp.%[2]s;
    EXECUTE format('CREATE TEMPORARY TABLE %[2]s (LIKE %%s INCLUDING ALL)', live);
    EXECUTE format('INSERT INTO pg_temp.%[2]s (%%1$s) OVERRIDING SYSTEM VALUE SELECT %%1$s FROM %%2$s', columns, live);
    FOR drawn IN SELECT attname FROM pg_attribute WHERE attrelid = live AND attidentity <> '' AND NOT attisdropped LOOP
        EXECUTE format('SELECT setval(pg_get_serial_sequence(%%L, %%L), greatest(1, (SELECT max(%%I) FROM pg_temp.%[2]s)))',
            'pg_temp.%[2]s', drawn, drawn);
    END LOOP;
END $do$`

// Copy begins a window: it copies the tables as of now.
func (s *Session) Copy(ctx context.Context) (c Copied, err error) {
	tx, err := pg.BeginSnapshot(ctx, s.db)
	if err != nil {
		return c, err
	}
	defer tx.Rollback()
	if err := pg.ExecText(ctx, tx, copyBounds); err != nil {
		return c, err
	}
	m, err := pg.One[moment](ctx, tx, "reading the snapshot", readMoment)
	if err != nil {
		return c, err
	}
	s.live, s.since, s.at = pq.QuoteIdentifier(m.Schema), m.Snapshot, m.At
	for _, t := range s.tables {
		name := pq.QuoteIdentifier(t.Name)
		if err := pg.ExecText(ctx, tx, fmt.Sprintf(copyTable, pq.QuoteLiteral(s.live+"."+name), name)); err != nil {
			return c, fmt.Errorf("copying the table %s into a temporary one (this needs the privilege TEMPORARY on the database): %w", t.Name, err)
		}
		n, err := count(ctx, tx, "pg_temp."+name)
		if err != nil {
			return c, err
		}
		c.Rows += n
	}
	c.At = m.At
	return c, tx.Commit()
}

func count(ctx context.Context, tx store.Tx, table string) (n int64, err error) {
	err = pg.RawTx(tx).QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&n)
	return n, pg.MapError(err)
}

var haveCopies = pg.SQL(`SELECT coalesce(bool_and(to_regclass('pg_temp.' || quote_ident(name)) IS NOT NULL), true) FROM unnest($1::text[]) name`)

// Window is what the live workers did since the copies were made. End ends it.
type Window struct {
	s   *Session
	tx  *store.Transaction
	now moment
	txs []string // of the batches that Handled found
}

// Begin ends the span of a window: what the live workers do from now on is not in it.
func (s *Session) Begin(ctx context.Context) (w *Window, err error) {
	tx, err := pg.BeginSnapshot(ctx, s.db)
	if err != nil {
		return nil, err
	}
	w = &Window{s: s, tx: tx}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.End())
		}
	}()
	if err := pg.ExecText(ctx, tx, "SET TRANSACTION READ ONLY;"+copyBounds); err != nil {
		return w, err
	}
	if w.now, err = pg.One[moment](ctx, tx, "reading the snapshot", readMoment); err != nil {
		return w, err
	}
	names := make([]string, len(s.tables))
	for i, t := range s.tables {
		names[i] = t.Name
	}
	have, err := pg.One[bool](ctx, tx, "looking for the copied tables", haveCopies, pq.StringArray(names))
	if err == nil && !have {
		err = ErrGone
	}
	return w, err
}

// End rolls everything back.
func (w *Window) End() error { return w.tx.Rollback() }

// Span is when the copies were made and when the window began to be compared.
func (w *Window) Span() (from, to time.Time) { return w.s.at, w.now.At }

// ErrWrites means that code wrote to a table that is not among the copied ones, or drew from a sequence.
var ErrWrites = errors.New("it writes to a table that its declaration does not name (workers/worker/keeps)")

// Try runs do in the window's transaction. What do wrote to the copies stays when it returns nil.
func (w *Window) Try(ctx context.Context, do func(tx *store.Transaction) error) error {
	if err := pg.ExecText(ctx, w.tx, "SAVEPOINT tried"); err != nil {
		return err
	}
	err := do(w.tx)
	if err == nil {
		return pg.ExecText(ctx, w.tx, "RELEASE SAVEPOINT tried")
	}
	if lost := pg.ExecText(ctx, w.tx, "ROLLBACK TO SAVEPOINT tried"); lost != nil {
		return fmt.Errorf("%w: %w", ErrGone, errors.Join(lost, err))
	}
	var refused *pq.Error
	if errors.As(err, &refused) && refused.Code == "25006" { // read_only_sql_transaction
		return fmt.Errorf("%w: %s", ErrWrites, strings.TrimPrefix(refused.Message, "pq: "))
	}
	return err
}
