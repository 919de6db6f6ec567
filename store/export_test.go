package store

import (
	"context"
)

// What tests, which live in store_test, see of the inside.

// ThinTicks is a part of the ticker's housekeeping.
func (db *DB) ThinTicks(ctx context.Context) error { return db.thinTicks(ctx) }

// The statements whose plans are looked at, and those that broken variants are held against.
const (
	TickIdle      = tickIdle
	PartitionSize = partitionSize
)

var (
	MakeTick     = string(makeTick)
	ReadInterval = string(readInterval)
	NextTick     = string(nextTick)
	LogStateText = string(logState)
)
