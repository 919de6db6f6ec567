package masterdata

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// PositionRows locks the rows, one a position, of a table that has one for every position seen. Missing ones are made.
//
// Making a row while holding locks on others may deadlock, which costs PostgreSQL's deadlock_timeout of a second. So
// rows of positions new to this process are looked up, and made where missing, before anything is locked.
type PositionRows[R any] struct {
	Known *KnownPositions
	// What names n rows in errors: "the lot balances of %d positions".
	What string
	// Missing selects those of the key columns that have no row.
	Missing pg.Statement
	// Create makes rows, given in key order; one that exists by now stays.
	Create func(keys []PositionKey) error
	// Lock locks the rows that exist, in key order.
	Lock func(keys []PositionKey) (map[PositionKey]*R, error)
}

// madeRows are the positions whose rows a transaction has made. Other transactions see them after its commit.
type madeRows[R any] struct{ keys map[PositionKey]bool }

// LockAll locks the rows of positions for the rest of the transaction.
func (t PositionRows[R]) LockAll(ctx context.Context, tx store.Tx, keys []PositionKey) (map[PositionKey]*R, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, ComparePositionKeys)
	keys = slices.Compact(keys)
	if unknown := t.Known.Unknown(keys); len(unknown) > 0 {
		missing, err := pg.List[PositionKey](ctx, tx, fmt.Sprintf("reading "+t.What, len(unknown)), t.Missing, KeyColumns(unknown)...)
		if err != nil {
			return nil, err
		}
		if err := t.create(tx, missing); err != nil {
			return nil, err
		}
	}
	rows, err := t.Lock(keys)
	if err != nil {
		return nil, err
	}
	if len(rows) < len(keys) {
		if err := t.create(tx, slices.DeleteFunc(slices.Clone(keys), func(k PositionKey) bool { return rows[k] != nil })); err != nil {
			return nil, err
		}
		if rows, err = t.Lock(keys); err != nil {
			return nil, err
		}
	}
	if len(rows) == len(keys) {
		made := pg.TxState[madeRows[R]](tx).keys
		t.Known.Add(slices.DeleteFunc(keys, func(k PositionKey) bool { return made[k] }))
	}
	return rows, nil
}

func (t PositionRows[R]) create(tx store.Tx, missing []PositionKey) error {
	if len(missing) == 0 {
		return nil
	}
	made := pg.TxState[madeRows[R]](tx)
	if made.keys == nil {
		made.keys = map[PositionKey]bool{}
		pg.OnCommit(tx, func() { t.Known.Add(slices.Collect(maps.Keys(made.keys))) })
	}
	for _, k := range missing {
		made.keys[k] = true
	}
	slices.SortFunc(missing, ComparePositionKeys)
	return t.Create(missing)
}
