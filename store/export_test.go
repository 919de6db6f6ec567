package store

import (
	"context"
	"database/sql"
)

// What tests, which live in store_test, see of the inside.

// SQL is the pool itself.
func (db *DB) SQL() *sql.DB { return db.pool.DB }

// ThinTicks is a part of the ticker's housekeeping.
func (db *DB) ThinTicks(ctx context.Context) error { return db.thinTicks(ctx) }

// SQL is the transaction itself, for statements of a test's own.
func (tx *Transaction) SQL() *sql.Tx { return tx.tx.Tx }

// Step looks once, as Run does, and makes a tick when one is due.
func (t *Ticker) Step(ctx context.Context, lease Lease) (made bool, err error) {
	if t.last.Snapshot == "" {
		if err := t.resume(ctx); err != nil {
			return false, err
		}
	}
	due, err := t.due(ctx, false)
	if err != nil || !due.tick {
		return false, err
	}
	return true, t.make(ctx, lease, due.seq)
}

// The statements whose plans are looked at, and those that broken variants are held against.
const (
	TickIdle      = tickIdle
	PartitionSize = partitionSize
	RotationLock  = rotationLock
)

var (
	MakeTick     = string(makeTick)
	ReadInterval = string(readInterval)
	NextTick     = string(nextTick)
	LogStateText = string(logState)
	ClaimEvents  = string(claimEvents)
)

// MapError is how errors of statements of a test's own are sorted.
func MapError(err error) error { return mapError(err) }
