package masterdata

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// # Master data
//
// Items, locations, suppliers, rules and settings are what people say of the
// business. They change by edits: a row is read as it is, or as it begins,
// changed, checked as a whole, and written if it is another now.
//
// Invariant: an edit changes what it names and nothing else, and of any number
// of edits of a row none is lost, whoever edits meanwhile.
//
//   - Whoever edits waits first, in a statement of its own, for who edits
//     already. So two who each make the same row do it one after the other, and
//     the second finds the row of the first.
//   - Others write some of these rows too: the ledger makes items and locations
//     on first sight. What is there is read with its row locked; what is made in
//     between is met by ON CONFLICT and overwritten with what a person said.
//   - Rows are locked and written in key order, as everywhere.
//
// Editing is rare and a batch takes milliseconds: that all of it is one queue
// costs nothing. A process that dies in between leaves nothing: a batch is one
// transaction.

// masterDataLock is the key of the advisory lock of those who edit.
const masterDataLock = 7_316_010

var lockMasterData = pg.SQL(`SELECT pg_advisory_xact_lock($1)::text`)

// Edit is a change of one row of master data.
type Edit[T any] struct {
	// Of names the row by its key; everything else in it is ignored.
	Of T
	// Change is given the row as it is, or as it begins, and leaves its key as it is.
	Change func(row *T)
}

// Written counts the rows of master data that were given, by what became of each.
type Written struct {
	New       int `json:"new"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
}

// InvalidError says what is wrong with a row of master data. It is meant to be
// read by the person who wrote it.
type InvalidError struct {
	// Index is the place of the row among those given.
	Index int
	// Field is the field's JSON name.
	Field string
	// Problem says what was wanted and what was found.
	Problem string
}

// Error gives the field and the problem, "packSize: want more than 0, got -1".
func (e *InvalidError) Error() string { return e.Field + ": " + e.Problem }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// register is one kind of master data: how its rows are named, begun, checked, read and written.
type registry[T any, K comparable] struct {
	what string
	key  func(*T) K
	// named checks the key alone, before the database is asked by it.
	named func(*T) error
	begin func(of *T) T
	// settle, where it is set, is called after a change, before check.
	settle func(*T)
	check  func(*T) error
	read   func(ctx context.Context, tx store.Tx, keys []K) ([]T, error)
	// verify, where it is set, checks rows against others in the database.
	verify func(ctx context.Context, tx store.Tx, rows []*edited[T]) error
	write  func(ctx context.Context, tx store.Tx, rows []*edited[T]) error
}

// edited is a row that some edits have changed; before is empty for a new one,
// and first is the place of its first edit.
type edited[T any] struct {
	row    T
	before string
	first  int
}

// edit does the edits, in their order; a dry run only looks what they would do.
func (r registry[T, K]) edit(ctx context.Context, db *store.DB, edits []Edit[T], dryRun bool) (w Written, err error) {
	if len(edits) == 0 {
		return w, nil
	}
	err = db.InTx(ctx, func(tx store.Tx) error {
		if !dryRun {
			if _, err := pg.Exec(ctx, tx, lockMasterData, masterDataLock); err != nil {
				return err
			}
		}
		var rows []*edited[T]
		if rows, w, err = r.change(ctx, tx, edits); err != nil || len(rows) == 0 {
			return err
		}
		if r.verify != nil {
			if err := r.verify(ctx, tx, rows); err != nil {
				return err
			}
		}
		if dryRun {
			return nil
		}
		return r.write(ctx, tx, rows)
	})
	if err != nil {
		return Written{}, fmt.Errorf("setting %d %s: %w", len(edits), r.what, err)
	}
	return w, nil
}

// change gives the rows that the edits make or change, as they are to be.
func (r registry[T, K]) change(ctx context.Context, tx store.Tx, edits []Edit[T]) (changed []*edited[T], w Written, err error) {
	byKey, keys := make(map[K]*edited[T], len(edits)), make([]K, 0, len(edits))
	for i := range edits {
		if err := inRow(i, r.named(&edits[i].Of)); err != nil {
			return nil, w, err
		}
		key := r.key(&edits[i].Of)
		if byKey[key] == nil {
			byKey[key] = &edited[T]{row: r.begin(&edits[i].Of), first: i}
			keys = append(keys, key)
		}
	}
	found, err := r.read(ctx, tx, keys)
	if err != nil {
		return nil, w, err
	}
	for i := range found {
		e := byKey[r.key(&found[i])]
		e.row = found[i]
		if e.before, err = asJSON(&e.row); err != nil {
			return nil, w, err
		}
	}
	for i := range edits {
		e := byKey[r.key(&edits[i].Of)]
		edits[i].Change(&e.row)
		if r.settle != nil {
			r.settle(&e.row)
		}
		if err := inRow(i, r.check(&e.row)); err != nil {
			return nil, w, err
		}
	}
	for _, key := range keys {
		e := byKey[key]
		after, err := asJSON(&e.row)
		switch {
		case err != nil:
			return nil, w, err
		case e.before == after:
			w.Unchanged++
			continue
		case e.before == "":
			w.New++
		default:
			w.Changed++
		}
		changed = append(changed, e)
	}
	return changed, w, nil
}

// wholes are the edits that make rows what is given.
func wholeEdits[T any](rows []T, keep func(row, given *T)) []Edit[T] {
	edits := make([]Edit[T], len(rows))
	for i := range rows {
		given := rows[i]
		edits[i] = Edit[T]{Of: given, Change: func(row *T) {
			keep(row, &given)
			*row = given
		}}
	}
	return edits
}

// asJSON is a row as a text that is the same for what is the same: numbers in it have one writing.
func asJSON(row any) (string, error) {
	text, err := json.Marshal(row)
	if err != nil {
		return "", fmt.Errorf("comparing rows: %w", err)
	}
	return string(text), nil
}

// about says of an InvalidError which row it is about.
func inRow(index int, err error) error {
	if bad, ok := err.(*InvalidError); ok { //nolint:errorlint // it was made in this package, a call below
		bad.Index = index
	}
	return err
}

// MasterDataFilter says which rows are listed: those that have all that is not
// empty. Not every kind of row has every field; what a kind does not have is not
// asked for.
type MasterDataFilter struct {
	Tenant, Item, Location, Supplier string
	// Incomplete lists items only that nobody has completed yet.
	Incomplete bool
	// Limit is how many rows are given at most; 0 means all.
	Limit int
}
