package store

import (
	"context"
	"database/sql"
	"sync"

	"github.com/jmoiron/sqlx"
)

// # Statements
//
// Every statement is prepared on the pool, so that on each connection it is
// parsed once and then costs one round trip a call.
//
// Preparing on the pool takes a connection. Whoever has a transaction open
// holds one already, and as many of those as the pool is large would wait for
// each other for ever: so a transaction prepares what it finds unprepared for
// itself, and the next one prepares it on the pool before it begins.

// statement is the text of one SQL statement; each is registered, so that a
// test can prepare them all against the migrated schema.
type statement string

var statements []statement

func sqlText(text string) statement {
	statements = append(statements, statement(text))
	return statement(text)
}

// preparations are the statements prepared on a pool. No lock is held while the database is asked.
type preparations struct {
	mu     sync.RWMutex
	ready  map[statement]*sqlx.Stmt
	wanted []statement
}

func (p *preparations) get(q statement) *sqlx.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.ready[q]
}

// keep gives the statement to use from now on: st, or one that somebody else
// has prepared meanwhile.
func (p *preparations) keep(q statement, st *sqlx.Stmt) *sqlx.Stmt {
	p.mu.Lock()
	defer p.mu.Unlock()
	if other := p.ready[q]; other != nil {
		st.Close()
		return other
	}
	if p.ready == nil {
		p.ready = map[statement]*sqlx.Stmt{}
	}
	p.ready[q] = st
	return st
}

func (p *preparations) want(q statement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = append(p.wanted, q)
}

func (p *preparations) takeWanted() []statement {
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

// prepare gives the statement prepared on the pool. It may wait for a
// connection: not to be called while one is held.
func (db *DB) prepare(ctx context.Context, q statement) (*sqlx.Stmt, error) {
	if st := db.prepared.get(q); st != nil {
		return st, nil
	}
	st, err := db.pool.PreparexContext(ctx, string(q))
	if err != nil {
		return nil, mapCall(ctx, err)
	}
	return db.prepared.keep(q, st), nil
}

// prepareWanted prepares what earlier transactions had to prepare for
// themselves. A statement that cannot be prepared will say so where it is used.
func (db *DB) prepareWanted(ctx context.Context) {
	for _, q := range db.prepared.takeWanted() {
		_, _ = db.prepare(ctx, q)
	}
}

// selectAll reads rows into dest, a pointer to a slice, outside any
// transaction: only for statements that change nothing.
func (db *DB) selectAll(ctx context.Context, dest any, q statement, args ...any) error {
	st, err := db.prepare(ctx, q)
	if err != nil {
		return err
	}
	return mapCall(ctx, st.SelectContext(ctx, dest, args...))
}

// get reads one row into dest; ErrNotFound when there is none.
func (db *DB) get(ctx context.Context, dest any, q statement, args ...any) error {
	st, err := db.prepare(ctx, q)
	if err != nil {
		return err
	}
	return mapCall(ctx, st.GetContext(ctx, dest, args...))
}

// repeat runs a statement in a transaction of its own, in one round trip, and
// gives the number of rows. The driver may run it again when a connection breaks:
// only for statements that may be repeated.
func (db *DB) repeat(ctx context.Context, q statement, args ...any) (int64, error) {
	st, err := db.prepare(ctx, q)
	if err != nil {
		return 0, err
	}
	return execute(ctx, st, args)
}

func execute(ctx context.Context, st *sqlx.Stmt, args []any) (int64, error) {
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, mapCall(ctx, err)
	}
	n, err := res.RowsAffected()
	return n, mapError(err)
}

// each runs scan on every row, outside any transaction: only for statements that
// change nothing. Tx.each says when to use it.
func (db *DB) each(ctx context.Context, q statement, scan func(row *sql.Rows) error, args ...any) error {
	st, err := db.prepare(ctx, q)
	if err != nil {
		return err
	}
	return eachRow(ctx, st, scan, args)
}

func eachRow(ctx context.Context, st *sqlx.Stmt, scan func(row *sql.Rows) error, args []any) error {
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
