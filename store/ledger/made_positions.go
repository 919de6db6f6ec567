package ledger

import (
	"maps"
	"slices"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
	"github.com/composerp/composerp/store/masterdata"
)

func seenIn(tx store.Tx) *masterdata.KnownPositions {
	return pg.PoolState[masterdata.KnownPositions](pg.DBOf(tx))
}

// madePositions are the positions that a transaction has made. Other transactions see them after its commit.
type madePositions struct {
	keys map[masterdata.PositionKey]bool
}

func noteMade(tx store.Tx, keys []masterdata.PositionKey) {
	made := pg.TxState[madePositions](tx)
	if made.keys == nil {
		made.keys = map[masterdata.PositionKey]bool{}
		pg.OnCommit(tx, func() { seenIn(tx).Add(slices.Collect(maps.Keys(made.keys))) })
	}
	for _, k := range keys {
		made.keys[k] = true
	}
}
