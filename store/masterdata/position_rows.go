package masterdata

import (
	"context"
	"fmt"
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
	// Missing selects those of the key columns that have no row: MissingRowsSQL.
	Missing pg.Statement
	// Create makes rows, given in key order; one that exists by now stays.
	Create func(keys []PositionKey) error
	// Lock locks the rows that exist, in key order. The columns are those of RowsSQL.
	Lock func(keys []PositionKey, columns pg.Columns) (map[PositionKey]*R, error)
	// ID is the id of a row.
	ID func(*R) int64
}

// RowsSQL are the rows of a table that the columns $1 to $4 name: k has the position's number ord, p its
// row. A row whose id is not known is found by its key.
func RowsSQL(table string) string {
	return `(
    SELECT ord, tenant_id, item_id, location_id, CASE WHEN id > 0 THEN id ELSE (
        SELECT f.id FROM ` + table + ` f WHERE f.tenant_id = n.tenant_id AND f.item_id = n.item_id AND f.location_id = n.location_id) END AS id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY AS n(tenant_id, item_id, location_id, id, ord)) k
JOIN ` + table + ` p ON p.id = k.id AND p.tenant_id = k.tenant_id AND p.item_id = k.item_id AND p.location_id = k.location_id`
}

// MissingRowsSQL selects those of the KeyColumns $1 to $3 that have no row in a table.
func MissingRowsSQL(table string) string {
	return `
SELECT k.tenant_id, k.item_id, k.location_id
FROM unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, item_id, location_id)
LEFT JOIN ` + table + ` p USING (tenant_id, item_id, location_id)
WHERE p.id IS NULL`
}

// rowColumns are the arguments of a statement with RowsSQL.
func rowColumns(keys []PositionKey, ids []int64) pg.Columns {
	known := pg.NewColumn(len(ids), 8)
	for _, id := range ids {
		known.Integer(id)
	}
	return append(KeyColumns(keys), known)
}

// madeRows are the rows that a transaction has made. Other transactions see them after its commit.
type madeRows[R any] struct{ ids map[PositionKey]int64 }

// LockAll locks the rows of positions for the rest of the transaction.
func (t PositionRows[R]) LockAll(ctx context.Context, tx store.Tx, keys []PositionKey) (map[PositionKey]*R, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, ComparePositionKeys)
	keys = slices.Compact(keys)
	ids := t.Known.IDs(keys)
	unknown := without(keys, ids)
	if len(unknown) > 0 {
		missing, err := pg.List[PositionKey](ctx, tx, fmt.Sprintf("reading "+t.What, len(unknown)), t.Missing, KeyColumns(unknown)...)
		if err != nil {
			return nil, err
		}
		if err := t.create(tx, missing); err != nil {
			return nil, err
		}
	}
	rows, err := t.Lock(keys, rowColumns(keys, ids))
	if err != nil {
		return nil, err
	}
	if len(rows) < len(keys) {
		if err := t.create(tx, slices.DeleteFunc(slices.Clone(keys), func(k PositionKey) bool { return rows[k] != nil })); err != nil {
			return nil, err
		}
		unknown = keys // a known id was wrong
		if rows, err = t.Lock(keys, rowColumns(keys, make([]int64, len(keys)))); err != nil {
			return nil, err
		}
	}
	if len(rows) == len(keys) {
		t.remember(tx, rows, unknown)
	}
	return rows, nil
}

// without are the keys whose rows' ids are not known.
func without(keys []PositionKey, ids []int64) (unknown []PositionKey) {
	for i, k := range keys {
		if ids[i] == 0 {
			unknown = append(unknown, k)
		}
	}
	return unknown
}

// remember keeps the ids of rows: at once of those that were committed, and after the commit of those that this
// transaction has made.
func (t PositionRows[R]) remember(tx store.Tx, rows map[PositionKey]*R, keys []PositionKey) {
	if len(keys) == 0 {
		return
	}
	made, committed := pg.TxState[madeRows[R]](tx).ids, make(map[PositionKey]int64, len(keys))
	for _, k := range keys {
		into := committed
		if _, is := made[k]; is {
			into = made
		}
		into[k] = t.ID(rows[k])
	}
	t.Known.Add(committed)
}

func (t PositionRows[R]) create(tx store.Tx, missing []PositionKey) error {
	if len(missing) == 0 {
		return nil
	}
	made := pg.TxState[madeRows[R]](tx)
	if made.ids == nil {
		made.ids = map[PositionKey]int64{}
		pg.OnCommit(tx, func() { t.Known.Add(made.ids) })
	}
	for _, k := range missing {
		made.ids[k] = 0
	}
	slices.SortFunc(missing, ComparePositionKeys)
	return t.Create(missing)
}
