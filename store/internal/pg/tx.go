package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
)

// Tx is an open transaction, READ COMMITTED unless its owner asked for more. It offers no SQL and no way to end it,
// so a handler can be given one.
type Tx interface {
	querier
	open() *Transaction
}

// Transaction is a Tx owned by the caller, who must end it by Commit or Rollback.
type Transaction struct {
	db       *DB
	tx       *sqlx.Tx
	own      map[Statement]*sqlx.Stmt // prepared for this transaction alone
	state    states
	onCommit []func()
	// unbind frees the transaction from the context that began it, whose error is ended; release ends the one that it
	// runs in.
	unbind  func() bool
	ended   func() error
	release context.CancelFunc
}

func (tx *Transaction) open() *Transaction { return tx }

// Begin opens a transaction. End it by Commit or Rollback.
func (db *DB) Begin(ctx context.Context) (*Transaction, error) { return db.begin(ctx, nil) }

// BeginSnapshot opens a REPEATABLE READ transaction: it sees one state of the database throughout.
func BeginSnapshot(ctx context.Context, db *DB) (*Transaction, error) {
	return db.begin(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
}

func (db *DB) begin(ctx context.Context, options *sql.TxOptions) (*Transaction, error) {
	db.prepareWanted(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("beginning a transaction: %w", err)
	}
	own, release := context.WithCancel(context.WithoutCancel(ctx))
	unbind := context.AfterFunc(ctx, release)
	tx, err := db.pool.BeginTxx(own, options)
	if err != nil {
		unbind()
		release()
		return nil, fmt.Errorf("beginning a transaction: %w", mapBegin(ctx, err))
	}
	return &Transaction{db: db, tx: tx, unbind: unbind, ended: ctx.Err, release: release}, nil
}

// Commit makes the changes durable. After an error the outcome is unknown, unless the error's kind says otherwise.
//
// A COMMIT that has begun is not cancelled, whatever becomes of the context: the server answers one that is cancelled
// while it waits for a synchronous standby as if the standby had it, and a failover would lose what was acknowledged.
func (tx *Transaction) Commit() error {
	defer tx.release()
	if !tx.unbind() {
		if err := tx.ended(); err != nil { // COMMIT is not sent
			_ = tx.tx.Rollback()
			return fmt.Errorf("committing: %w", err)
		}
	}
	if err := tx.tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", MapError(err))
	}
	for _, do := range tx.onCommit {
		do()
	}
	return nil
}

// Rollback undoes everything. After Commit it does nothing.
func (tx *Transaction) Rollback() error {
	defer tx.release()
	defer tx.unbind()
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
	defer tx.Rollback() // after a panic; otherwise the transaction has ended
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// OnCommit runs do after the transaction has committed, in the order of the calls.
func OnCommit(tx Tx, do func()) {
	t := tx.open()
	t.onCommit = append(t.onCommit, do)
}

// DBOf returns the transaction's pool.
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
