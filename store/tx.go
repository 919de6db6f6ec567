package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jmoiron/sqlx"
)

// Tx is a transaction of the store, READ COMMITTED. What is done in it is said
// by the methods of this package; there is no SQL outside it.
type Tx struct {
	db       *DB
	tx       *sqlx.Tx
	own      map[statement]*sqlx.Stmt // prepared for this transaction alone
	made     map[PositionKey]bool     // nobody else can see them before the commit
	appended bool
}

// Begin opens a transaction. It must be ended by Commit or Rollback.
func (db *DB) Begin(ctx context.Context) (*Tx, error) {
	db.prepareWanted(ctx)
	tx, err := db.pool.BeginTxx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("beginning a transaction: %w", mapBegin(ctx, err))
	}
	return &Tx{db: db, tx: tx}, nil
}

// Commit makes what was done durable. After an error the outcome is unknown
// unless errors.Is tells otherwise: whoever asked must ask again.
func (tx *Tx) Commit() error {
	if err := tx.tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", mapError(err))
	}
	if len(tx.made) > 0 {
		tx.db.seen.add(slices.Collect(maps.Keys(tx.made)))
	}
	if tx.appended && tx.db.appended != nil {
		tx.db.appended()
	}
	return nil
}

// Rollback undoes everything. It may be called after Commit, and then does nothing.
func (tx *Tx) Rollback() error {
	if err := tx.tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("rolling back: %w", mapError(err))
	}
	return nil
}

// InTx runs do in a transaction and commits it when do returns nil.
func (db *DB) InTx(ctx context.Context, do func(tx *Tx) error) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a panic; otherwise it has ended by then
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (tx *Tx) stmt(ctx context.Context, q statement) (*sqlx.Stmt, error) {
	if st := tx.own[q]; st != nil {
		return st, nil
	}
	if st := tx.db.prepared.get(q); st != nil {
		return tx.tx.StmtxContext(ctx, st), nil
	}
	st, err := tx.tx.PreparexContext(ctx, string(q))
	if err != nil {
		return nil, mapCall(ctx, err)
	}
	tx.db.prepared.want(q)
	if tx.own == nil {
		tx.own = map[statement]*sqlx.Stmt{}
	}
	tx.own[q] = st
	return st, nil
}

func (tx *Tx) exec(ctx context.Context, q statement, args ...any) (int64, error) {
	st, err := tx.stmt(ctx, q)
	if err != nil {
		return 0, err
	}
	return execute(ctx, st, args)
}

func (tx *Tx) selectAll(ctx context.Context, dest any, q statement, args ...any) error {
	st, err := tx.stmt(ctx, q)
	if err != nil {
		return err
	}
	return mapCall(ctx, st.SelectContext(ctx, dest, args...))
}

func (tx *Tx) get(ctx context.Context, dest any, q statement, args ...any) error {
	st, err := tx.stmt(ctx, q)
	if err != nil {
		return err
	}
	return mapCall(ctx, st.GetContext(ctx, dest, args...))
}

// each runs scan on every row. It is for the hot statements: selectAll finds out
// by reflection, for every row anew, where each column belongs.
func (tx *Tx) each(ctx context.Context, q statement, scan func(row *sql.Rows) error, args ...any) error {
	st, err := tx.stmt(ctx, q)
	if err != nil {
		return err
	}
	return eachRow(ctx, st, scan, args)
}
