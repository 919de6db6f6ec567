package masterdata

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// kind is one kind of master data: a table with a row for each T, a struct whose db tags name the columns.
type kind[T any, P row[T]] struct {
	// what names rows in errors.
	what  string
	table string
	// keys is how many fields are the key: the first ones, all strings.
	keys int
	// fixed, when set, is the same in all rows of the kind.
	fixed struct{ column, value string }
	// nullable is a text column that has NULL for "".
	nullable string
	// versioned: the last field counts the row's changes, in the database alone.
	versioned bool
	// settle, when set, runs after a change, before Check.
	settle func(*T)
	// verify, when set, checks rows against others in the database.
	verify func(ctx context.Context, tx store.Tx, rows []*edited[T]) error
	// write, when set, writes rows in place of the statement insert alone.
	write func(ctx context.Context, tx store.Tx, rows []*edited[T]) error

	// written is how many fields insert takes.
	written                int
	byKey, insert, listing pg.Statement
}

type row[T any] interface {
	*T
	checkKey() error // checks the key alone, before the database is queried by it
	Check() error
	begin() // makes a new row of one with only its key
}

// rowKey is the key of a row, filled up with "".
type rowKey [3]string

func (k kind[T, P]) key(row *T) (key rowKey) {
	for i := range k.keys {
		key[i] = reflect.ValueOf(row).Elem().Field(i).String()
	}
	return key
}

// begun is a new row.
func (k kind[T, P]) begun(key rowKey) (row T) {
	for i := range k.keys {
		reflect.ValueOf(&row).Elem().Field(i).SetString(key[i])
	}
	P(&row).begin()
	return row
}

// columns are the first fields of the rows.
func columns[T any](rows []*edited[T], fields int) pg.Columns {
	columns, values := pg.NewColumns(fields, len(rows)), make([]any, fields)
	for _, e := range rows {
		for i := range values {
			values[i] = reflect.ValueOf(&e.row).Elem().Field(i).Interface()
		}
		columns.Add(values...)
	}
	return columns
}

// withStatements is the kind with its statements.
func (k kind[T, P]) withStatements() kind[T, P] {
	k.written = reflect.TypeFor[T]().NumField()
	if k.versioned {
		k.written--
	}
	types := map[reflect.Kind]string{reflect.String: "text", reflect.Int: "int", reflect.Bool: "boolean"}
	var names, read, given, set, arrays []string
	for i, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name := f.Tag.Get("db")
		column, value := "r."+name, "n."+name
		if name == k.nullable {
			column, value = fmt.Sprintf("coalesce(r.%s, '') AS %[1]s", name), fmt.Sprintf("nullif(n.%s, '')", name)
		}
		read = append(read, column)
		if i >= k.written {
			break
		}
		names, given = append(names, name), append(given, value)
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", i+1, cmp.Or(types[f.Type.Kind()], "numeric")))
		if i >= k.keys {
			set = append(set, name+" = excluded."+name)
		}
	}
	list := func(names []string) string { return strings.Join(names, ", ") }
	keys, row, order := list(names[:k.keys]), list(read), "r."+strings.Join(names[:k.keys], ", r.")
	k.byKey = pg.SQL(fmt.Sprintf(`
SELECT %s FROM unnest(%s) AS k(%s) JOIN %s r USING (%[3]s)
ORDER BY %[5]s FOR NO KEY UPDATE OF r`, row, list(arrays[:k.keys]), keys, k.table, order))

	filter, where := k.filter(Filter{})
	into := list(names)
	if k.fixed.column != "" {
		into, given = into+", "+k.fixed.column, append(given, k.fixed.value)
		where = append(where, "r."+k.fixed.column+" = "+k.fixed.value)
	}
	// A row inserted meanwhile without the editors' lock is overwritten and its version counts on: the version comes
	// from the row.
	returning := ""
	if k.versioned {
		returning = ", version = r.version + 1 RETURNING " + order + ", r.version"
	}
	k.insert = pg.SQL(fmt.Sprintf(`
INSERT INTO %s AS r (%s) SELECT %s FROM unnest(%s) AS n(%s) ORDER BY %s
ON CONFLICT (%[6]s) DO UPDATE SET %s%s`, k.table, into, list(given), list(arrays), list(names), keys, list(set), returning))
	k.listing = pg.SQL(fmt.Sprintf(`
SELECT %s FROM %s r WHERE %s ORDER BY %s LIMIT nullif($%d, 0)`, row, k.table, strings.Join(where, " AND "), order, len(filter)+1))
	return k
}

// filter is a Filter's part that the kind's rows have too: its values, and the conditions on them.
func (k kind[T, P]) filter(f Filter) (values []any, where []string) {
	for _, by := range reflect.VisibleFields(reflect.TypeFor[Filter]()) {
		field, has := reflect.TypeFor[T]().FieldByName(by.Name)
		if !has {
			continue
		}
		values = append(values, reflect.ValueOf(f).FieldByIndex(by.Index).Interface())
		condition := "($%d = '' OR r.%s = $%[1]d)"
		if by.Type.Kind() == reflect.Bool {
			condition = "(r.%[2]s OR NOT $%[1]d)"
		}
		where = append(where, fmt.Sprintf(condition, len(values), field.Tag.Get("db")))
	}
	return values, where
}

// list lists rows by key.
func (k kind[T, P]) list(ctx context.Context, db *store.DB, f Filter) ([]T, error) {
	values, _ := k.filter(f)
	return pg.List[T](ctx, db, "listing "+k.what, k.listing, append(values, f.Limit)...)
}
