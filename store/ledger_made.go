package store

import (
	"maps"
	"slices"
)

func seenIn(tx Tx) *seenPositions { return PoolState[seenPositions](DBOf(tx)) }

// madePositions are those that a transaction has made. Other transactions see
// them after its commit.
type madePositions struct{ keys map[PositionKey]bool }

func noteMade(tx Tx, keys []PositionKey) {
	made := TxState[madePositions](tx)
	if made.keys == nil {
		made.keys = map[PositionKey]bool{}
		OnCommit(tx, func() { seenIn(tx).add(slices.Collect(maps.Keys(made.keys))) })
	}
	for _, k := range keys {
		made.keys[k] = true
	}
}
