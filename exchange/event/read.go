package event

import (
	"reflect"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// reader fills structs from the objects of a document. It stops at its first error.
type reader struct {
	doc *document
	err *FieldError
}

func (r *reader) fail(field, problem string) {
	if r.err == nil {
		r.err = &FieldError{Field: field, Problem: problem}
	}
}

// mismatch records that the value at index i is not as wanted.
func (r *reader) mismatch(i int32, want string) {
	r.fail(r.doc.path(i), want+", got "+r.doc.describe(i))
}

const (
	wantString = "want a string"
	wantNumber = "want a number"
	wantWhole  = "want a whole number"
	wantArray  = "want an array"
	wantObject = "want an object"
	wantBool   = "want true or false"
)

// wanted are the first halves of errors about a value of a wrong kind, by the right kind.
var wanted = [...]string{
	kindString: wantString, kindNumber: wantNumber, kindArray: wantArray, kindObject: wantObject, kindTrue: wantBool,
}

// fields fills v, a struct, from the object at index i. It looks for the first field at index next, and returns the
// index after the last field found: members are mostly in the order of the struct's fields.
func (r *reader) fields(fields []field, v reflect.Value, i, next int32) int32 {
	for n := range fields {
		f := &fields[n]
		found := r.doc.member(i, next, f.name)
		if found < 0 {
			if f.required {
				r.fail(joinPath(r.doc.path(i), f.name), "missing")
				return next
			}
			continue
		}
		r.value(f, v.Field(f.index), found)
		if r.err != nil {
			return next
		}
		next = r.doc.nodes[found].next
	}
	return next
}

// value fills v from the value at index i.
func (r *reader) value(f *field, v reflect.Value, i int32) {
	n := &r.doc.nodes[i]
	if !f.suits(n.kind) {
		r.mismatch(i, wanted[kindsOfFields[f.kind]])
		return
	}
	problem := ""
	switch f.kind {
	case textField:
		v.SetString(n.text)
	case uuidField:
		*at[uuid.UUID](v), problem = parseUUID(n.text)
	case timeField:
		*at[time.Time](v), problem = parseTime(n.text)
	case dateField:
		problem = checkDate(n.text)
		v.SetString(n.text)
	case boolField:
		v.SetBool(n.kind == kindTrue)
	case integerField:
		v.SetInt(r.integer(i))
	case decimalField:
		*at[Decimal](v) = r.decimal(i)
	case optionalDecimalField:
		d := r.decimal(i)
		*at[*Decimal](v) = &d
	case objectField:
		r.fields(f.object.fields, v, i, i+1)
	case listField:
		r.list(f, v, i)
	}
	if problem != "" {
		r.mismatch(i, problem)
	}
}

// decimal reads the number at index i.
func (r *reader) decimal(i int32) Decimal {
	d, problem := parseDecimal(r.doc.nodes[i].text)
	if problem != "" {
		r.fail(r.doc.path(i), problem)
	}
	return d
}

// integer reads 3 and, as JSON Schema does, 3.0.
func (r *reader) integer(i int32) int64 {
	if whole, err := strconv.ParseInt(r.doc.nodes[i].text, 10, 64); err == nil {
		return whole
	}
	d := r.decimal(i)
	if !d.IsInteger() {
		r.mismatch(i, wantWhole)
	}
	return d.IntPart()
}

// list fills v from the array at index i. An optional list without items stays nil, as it is not written either.
func (r *reader) list(f *field, v reflect.Value, i int32) {
	n := r.doc.count(i)
	if n == 0 && f.omit {
		return
	}
	items := reflect.MakeSlice(v.Type(), n, n)
	c := i + 1
	for k := 0; k < n && r.err == nil; k++ {
		r.value(f.item, items.Index(k), c)
		c = r.doc.nodes[c].next
	}
	v.Set(items)
}
