package pg

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"

	"github.com/jmoiron/sqlx"
)

// # Statements
//
// Every statement is prepared on the pool, so that each connection parses it once and a call costs one round trip.
//
// Preparing on the pool takes a connection. A goroutine with an open transaction holds one already; as many such
// goroutines as the pool has connections would deadlock. So a transaction prepares an unprepared statement for itself,
// and the next Begin prepares it on the pool.

// Statement is the text of one SQL statement. All are registered, so that a test can prepare them against the
// migrated schema.
type Statement string

var statements []Statement

// SQL registers a statement. Call it for package variables only.
func SQL(text string) Statement {
	statements = append(statements, Statement(text))
	return Statement(text)
}

// Statements returns all registered statements.
func Statements() []Statement { return slices.Clone(statements) }

// preparations are the statements prepared on a pool. The lock is never held during a database call.
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

// keep stores st and returns the statement to use: st, or the one another goroutine prepared meanwhile.
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

// prepareWanted prepares statements that earlier transactions had to prepare for themselves. A statement that cannot
// be prepared fails where it is used.
func (db *DB) prepareWanted(ctx context.Context) {
	for _, q := range db.prepared.takeWanted() {
		_, _ = db.stmt(ctx, q)
	}
}

// stmt returns the statement prepared on the pool. It may wait for a connection: never call it while holding one.
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

// querier runs statements: a *DB outside any transaction, or a Tx. Outside a transaction the driver may repeat a
// statement after a connection error, so use a *DB for reads only.
type querier interface {
	stmt(ctx context.Context, q Statement) (*sqlx.Stmt, error)
}

// Select reads rows into dest, a pointer to a slice.
func Select(ctx context.Context, on querier, dest any, q Statement, args ...any) error {
	st, err := on.stmt(ctx, q)
	if err != nil {
		return err
	}
	return mapCall(ctx, st.SelectContext(ctx, dest, args...))
}

// Get reads one row into dest; ErrNotFound when there is none.
func Get(ctx context.Context, on querier, dest any, q Statement, args ...any) error {
	st, err := on.stmt(ctx, q)
	if err != nil {
		return err
	}
	return mapCall(ctx, st.GetContext(ctx, dest, args...))
}

// List reads rows; doing says of an error what for. No rows are an empty list.
func List[T any](ctx context.Context, on querier, doing string, q Statement, args ...any) ([]T, error) {
	list := []T{}
	if err := Select(ctx, on, &list, q, args...); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return list, nil
}

// Set reads rows as the keys of a set.
func Set[K comparable](ctx context.Context, on querier, doing string, q Statement, args ...any) (map[K]bool, error) {
	list, err := List[K](ctx, on, doing, q, args...)
	if err != nil {
		return nil, err
	}
	set := make(map[K]bool, len(list))
	for _, k := range list {
		set[k] = true
	}
	return set, nil
}

// One reads one row, ErrNotFound when there is none; doing says of an error what for.
func One[T any](ctx context.Context, on querier, doing string, q Statement, args ...any) (row T, err error) {
	if err := Get(ctx, on, &row, q, args...); err != nil {
		return *new(T), fmt.Errorf("%s: %w", doing, err)
	}
	return row, nil
}

// OneAlone is One in a transaction of its own.
func OneAlone[T any](ctx context.Context, db *DB, doing string, q Statement, args ...any) (row T, err error) {
	if err := db.InTx(ctx, func(tx Tx) error { return Get(ctx, tx, &row, q, args...) }); err != nil {
		return *new(T), fmt.Errorf("%s: %w", doing, err)
	}
	return row, nil
}

// Each runs scan on every row; doing says of an error what for. It is for hot statements: Select maps columns by
// reflection for every row.
func Each(ctx context.Context, on querier, doing string, q Statement, scan func(row *sql.Rows) error, args ...any) error {
	if err := each(ctx, on, q, scan, args); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

func each(ctx context.Context, on querier, q Statement, scan func(row *sql.Rows) error, args []any) error {
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

// Write runs a statement in the transaction; doing says of an error what for.
func Write(ctx context.Context, tx Tx, doing string, q Statement, args ...any) error {
	if _, err := Exec(ctx, tx, q, args...); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// WriteAlone is Write in a transaction of its own.
func WriteAlone(ctx context.Context, db *DB, doing string, q Statement, args ...any) error {
	err := db.InTx(ctx, func(tx Tx) error {
		_, err := Exec(ctx, tx, q, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Repeat runs a statement in a transaction of its own, in one round trip, and returns the number of rows. The driver
// may repeat it after a connection error: for idempotent statements only.
func Repeat(ctx context.Context, db *DB, q Statement, args ...any) (int64, error) {
	return execute(ctx, db, q, args)
}

func execute(ctx context.Context, on querier, q Statement, args []any) (int64, error) {
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

// ExecText runs unprepared text built from our own constants and numbers: DDL.
func ExecText(ctx context.Context, tx Tx, text string) error {
	_, err := tx.open().tx.ExecContext(ctx, text)
	return mapCall(ctx, err)
}

// Pool returns the underlying pool, for migrations and tests.
func Pool(db *DB) *sql.DB { return db.pool.DB }

// RawTx returns the underlying transaction, for tests.
func RawTx(tx Tx) *sql.Tx { return tx.open().tx.Tx }
