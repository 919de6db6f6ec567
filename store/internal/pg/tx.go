package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// Tx is an open transaction, READ COMMITTED unless its opener asked for more.
// Functions of the packages under store/ work in it; it offers no SQL and no
// way to end the transaction, so that a handler can be given one.
type Tx interface {
	Querier
	open() *Transaction
}

// Transaction is a Tx in the hands of its owner, who must end it by Commit or
// Rollback.
type Transaction struct {
	db       *DB
	tx       *sqlx.Tx
	own      map[Statement]*sqlx.Stmt // prepared for this transaction alone
	state    states
	onCommit []func()
}

func (tx *Transaction) open() *Transaction { return tx }

// Begin opens a transaction. It must be ended by Commit or Rollback.
func (db *DB) Begin(ctx context.Context) (*Transaction, error) { return db.begin(ctx, nil) }

// BeginSnapshot opens a transaction that sees one state of the database
// throughout (REPEATABLE READ).
func BeginSnapshot(ctx context.Context, db *DB) (*Transaction, error) {
	return db.begin(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
}

func (db *DB) begin(ctx context.Context, options *sql.TxOptions) (*Transaction, error) {
	db.prepareWanted(ctx)
	tx, err := db.pool.BeginTxx(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("beginning a transaction: %w", mapBegin(ctx, err))
	}
	return &Transaction{db: db, tx: tx}, nil
}

// Commit makes the transaction's changes durable. After an error the outcome is
// unknown unless errors.Is tells otherwise: the caller must look.
func (tx *Transaction) Commit() error {
	if err := tx.tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", MapError(err))
	}
	for _, do := range tx.onCommit {
		do()
	}
	return nil
}

// Rollback undoes everything. It may be called after Commit, and then does nothing.
func (tx *Transaction) Rollback() error {
	if err := tx.tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("rolling back: %w", MapError(err))
	}
	return nil
}

// InTx runs do in a transaction and commits it when do returns nil.
func (db *DB) InTx(ctx context.Context, do func(tx Tx) error) error {
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

// OnCommit has do run after the transaction has committed, in the order of the calls.
func OnCommit(tx Tx, do func()) {
	t := tx.open()
	t.onCommit = append(t.onCommit, do)
}

// DBOf is the pool that the transaction belongs to.
func DBOf(tx Tx) *DB { return tx.open().db }

func (tx *Transaction) stmt(ctx context.Context, q Statement) (*sqlx.Stmt, error) {
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
		tx.own = map[Statement]*sqlx.Stmt{}
	}
	tx.own[q] = st
	return st, nil
}
