package eventlog

import (
	"context"

	"github.com/composerp/composerp/store"
)

// What tests, which live in store_test, see of the inside.

// ThinTicks is a part of the ticker's housekeeping.
func ThinTicks(ctx context.Context, db *store.DB) error { return thinTicks(ctx, db) }

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
