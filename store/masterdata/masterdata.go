package masterdata

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// masterDataLock is the key of the advisory lock that editors take.
const masterDataLock = 7_316_010

var lockMasterData = pg.SQL(`SELECT pg_advisory_xact_lock($1)::text`)

// Edit is a change of one row of master data.
type Edit[T any] struct {
	// Of identifies the row by its key fields; the others are ignored.
	Of T
	// Change changes the row, existing or new; it must not change the key.
	Change func(row *T)
}

// Written counts the edited rows of master data by outcome.
type Written struct {
	New       int `json:"new"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
}

// InvalidError says what is wrong with a row of master data, for the person who wrote it.
type InvalidError struct {
	// Index is the row's index among those given.
	Index int
	// Field is the field's JSON name.
	Field string
	// Problem says what is wanted and what was found.
	Problem string
}

// Error returns the field and the problem, "packSize: want more than 0, got -1".
func (e *InvalidError) Error() string { return e.Field + ": " + e.Problem }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// edited is a row changed by edits; before is empty for a new one, and first is the index of its first edit.
type edited[T any] struct {
	row    T
	before string
	first  int
}

// edit applies the edits in order; a dry run only reports what they would do.
func (k kind[T, P]) edit(ctx context.Context, db *store.DB, edits []Edit[T], dryRun bool) (w Written, err error) {
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
		if rows, w, err = k.change(ctx, tx, edits); err != nil || len(rows) == 0 {
			return err
		}
		if k.verify != nil {
			if err := k.verify(ctx, tx, rows); err != nil {
				return err
			}
		}
		if dryRun {
			return nil
		}
		if k.write != nil {
			return k.write(ctx, tx, rows)
		}
		return pg.Write(ctx, tx, "writing them", k.insert, columns(rows, k.written)...)
	})
	if err != nil {
		return Written{}, fmt.Errorf("setting %d %s: %w", len(edits), k.what, err)
	}
	return w, nil
}

// change returns the rows that the edits make or change, as they should become.
func (k kind[T, P]) change(ctx context.Context, tx store.Tx, edits []Edit[T]) (changed []*edited[T], w Written, err error) {
	byKey, rows := make(map[rowKey]*edited[T], len(edits)), make([]*edited[T], 0, len(edits))
	for i := range edits {
		if err := inRow(i, P(&edits[i].Of).checkKey()); err != nil {
			return nil, w, err
		}
		key := k.key(&edits[i].Of)
		if byKey[key] == nil {
			byKey[key] = &edited[T]{row: k.begun(key), first: i}
			rows = append(rows, byKey[key])
		}
	}
	found, err := pg.List[T](ctx, tx, "reading them", k.byKey, columns(rows, k.keys)...)
	if err != nil {
		return nil, w, err
	}
	for i := range found {
		e := byKey[k.key(&found[i])]
		e.row = found[i]
		if e.before, err = asJSON(&e.row); err != nil {
			return nil, w, err
		}
	}
	for i := range edits {
		e := byKey[k.key(&edits[i].Of)]
		edits[i].Change(&e.row)
		if k.settle != nil {
			k.settle(&e.row)
		}
		if err := inRow(i, P(&e.row).Check()); err != nil {
			return nil, w, err
		}
	}
	for _, e := range rows {
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

// replaceEdits are edits that replace rows as a whole.
func replaceEdits[T any](rows []T, keep func(row, given *T)) []Edit[T] {
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

// asJSON writes equal rows as equal texts: numbers in it have one form.
func asJSON(row any) (string, error) {
	text, err := json.Marshal(row)
	if err != nil {
		return "", fmt.Errorf("comparing rows: %w", err)
	}
	return string(text), nil
}

// inRow sets the index of an InvalidError.
func inRow(index int, err error) error {
	if bad, ok := err.(*InvalidError); ok { //nolint:errorlint // it was made in this package, a call below
		bad.Index = index
	}
	return err
}

// Filter selects rows by every field that is not empty. A field that a kind of row lacks is ignored.
type Filter struct {
	Tenant, Item, Location, Supplier, Source string
	// Incomplete selects only items that master data has not completed.
	Incomplete bool
	// Limit is the maximum number of rows; 0 means all.
	Limit int
}

// KeyFilter selects the row of a key; of has nothing else.
func KeyFilter[T any](of *T) (f Filter) {
	for _, by := range reflect.VisibleFields(reflect.TypeFor[Filter]()) {
		if v := reflect.ValueOf(of).Elem().FieldByName(by.Name); v.IsValid() {
			reflect.ValueOf(&f).Elem().FieldByIndex(by.Index).Set(v)
		}
	}
	return f
}
