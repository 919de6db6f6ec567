package pg

import (
	"context"
	"database/sql"
	"slices"
	"sync"

	"github.com/jmoiron/sqlx"
)

// # Statements
//
// Every statement is prepared on the pool, so that each connection parses it
// once and a call then costs one round trip.
//
// Preparing on the pool takes a connection. A goroutine with an open transaction
// holds one already, and as many of those as the pool is large would wait for
// each other for ever: so a transaction prepares an unprepared statement for
// itself, and the next transaction prepares it on the pool before it begins.

// Statement is the text of one SQL statement; each is registered, so that a
// test can prepare them all against the migrated schema.
type Statement string

var statements []Statement

// SQL registers the text of a statement. It is called for package variables only.
func SQL(text string) Statement {
	statements = append(statements, Statement(text))
	return Statement(text)
}

// Statements are all registered statements.
func Statements() []Statement { return slices.Clone(statements) }

// preparations are the statements prepared on a pool. No lock is held while the database is asked.
type preparations struct {
	mu     sync.RWMutex
	ready  map[Statement]*sqlx.Stmt
	wanted []Statement
}

func (p *preparations) get(q Statement) *sqlx.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.ready[q]
}

// keep returns the statement to use from now on: st, or the one that another
// goroutine has prepared meanwhile.
func (p *preparations) keep(q Statement, st *sqlx.Stmt) *sqlx.Stmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.ready[q]; other != nil {
		st.Close()
		return other
	}
	if p.ready == nil {
		p.ready = map[Statement]*sqlx.Stmt{}
	}
	p.ready[q] = st
	return st
}

func (p *preparations) want(q Statement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = append(p.wanted, q)
}

func (p *preparations) takeWanted() []Statement {
	p.mu.RLock()
	none := len(p.wanted) == 0
	p.mu.RUnlock()
	if none {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := p.wanted
	p.wanted = nil
	return wanted
}

// prepareWanted prepares what earlier transactions had to prepare for
// themselves. A statement that cannot be prepared will say so where it is used.
func (db *DB) prepareWanted(ctx context.Context) {
	for _, q := range db.prepared.takeWanted() {
		_, _ = db.stmt(ctx, q)
	}
}

// stmt returns the statement prepared on the pool. It may wait for a
// connection: not to be called while one is held.
func (db *DB) stmt(ctx context.Context, q Statement) (*sqlx.Stmt, error) {
	if st := db.prepared.get(q); st != nil {
		return st, nil
	}
	st, err := db.pool.PreparexContext(ctx, string(q))
	if err != nil {
		return nil, mapCall(ctx, err)
	}
	return db.prepared.keep(q, st), nil
}

// Querier runs statements: a *DB outside any transaction, or a Tx. Outside a
// transaction the driver may run a statement again when a connection breaks, so
// a *DB is for statements that change nothing.
type Querier interface {
	stmt(ctx context.Context, q Statement) (*sqlx.Stmt, error)
}

// Select reads rows into dest, a pointer to a slice.
func Select(ctx context.Context, on Querier, dest any, q Statement, args ...any) error {
	st, err := on.stmt(ctx, q)
	if err != nil {
		return err
	}
	return mapCall(ctx, st.SelectContext(ctx, dest, args...))
}

// Get reads one row into dest; ErrNotFound when there is none.
func Get(ctx context.Context, on Querier, dest any, q Statement, args ...any) error {
	st, err := on.stmt(ctx, q)
	if err != nil {
		return err
	}
	return mapCall(ctx, st.GetContext(ctx, dest, args...))
}

// Each runs scan on every row. It is for the hot statements: Select finds out
// by reflection, for every row anew, where each column belongs.
func Each(ctx context.Context, on Querier, q Statement, scan func(row *sql.Rows) error, args ...any) error {
	st, err := on.stmt(ctx, q)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return mapCall(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return mapCall(ctx, err)
		}
	}
	return mapCall(ctx, rows.Err())
}

// Exec runs a statement in the transaction and returns the number of rows.
func Exec(ctx context.Context, tx Tx, q Statement, args ...any) (int64, error) {
	return execute(ctx, tx, q, args)
}

// Repeat runs a statement in a transaction of its own, in one round trip, and
// returns the number of rows. The driver may run it again when a connection
// breaks: only for statements that may be repeated.
func Repeat(ctx context.Context, db *DB, q Statement, args ...any) (int64, error) {
	return execute(ctx, db, q, args)
}

func execute(ctx context.Context, on Querier, q Statement, args []any) (int64, error) {
	st, err := on.stmt(ctx, q)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, mapCall(ctx, err)
	}
	n, err := res.RowsAffected()
	return n, MapError(err)
}

// ExecText runs statements built from constants and numbers of our own, unprepared: DDL.
func ExecText(ctx context.Context, tx Tx, text string) error {
	_, err := tx.open().tx.ExecContext(ctx, text)
	return mapCall(ctx, err)
}

// Pool is the pool itself, for migrations and for tests.
func Pool(db *DB) *sql.DB { return db.pool.DB }

// RawTx is the transaction itself, for tests.
func RawTx(tx Tx) *sql.Tx { return tx.open().tx.Tx }
