package eventlog

import (
	"context"

	"github.com/composerp/composerp/store"
)

// What the tests need of the inside.

// ThinTicks is a part of the ticker's housekeeping.
func ThinTicks(ctx context.Context, db *store.DB) error { return thinTicks(ctx, db) }

// The statements whose plans are checked, and those that broken variants are compared with.
const (
	AppendChannel = appendChannel
	PartitionSize = partitionSize
)

var (
	MakeTick     = string(makeTick)
	ReadPageText = string(readPage)
	LogStateText = string(logState)
)
