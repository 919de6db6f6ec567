package event

import (
	"encoding/hex"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// writer writes structs as JSON. The output depends on the fields alone, so that the same event always has the same
// bytes. The writer also sets each field to the value that the reader will read: times in UTC, to the microsecond.
type writer struct{ b []byte }

// member writes a member's name in the form of field.member, without its comma when it is the first.
func (w *writer) member(name string) {
	if w.b[len(w.b)-1] == '{' {
		name = name[1:]
	}
	w.b = append(w.b, name...)
}

// object writes a struct between braces.
func (w *writer) object(o *object, v reflect.Value) *FieldError {
	w.b = append(w.b, '{')
	err := w.fields(o.fields, v)
	w.b = append(w.b, '}')
	return err
}

// fields writes the fields of a struct, except those to omit. It stops at the first error, whose Field is relative to
// the struct.
func (w *writer) fields(fields []field, v reflect.Value) *FieldError {
	for i := range fields {
		f := &fields[i]
		x := v.Field(f.index)
		if f.omit && isZero(f, x) {
			if f.kind == listField {
				x.SetZero() // an empty list is read as nil
			}
			continue
		}
		w.member(f.member)
		if err := w.value(f, x); err != nil {
			return err.within(f.name)
		}
	}
	return nil
}

func isZero(f *field, v reflect.Value) bool {
	switch f.kind {
	case decimalField:
		return at[Decimal](v).IsZero() // 0.00 has an exponent
	case timeField:
		return at[time.Time](v).IsZero()
	case listField:
		return v.Len() == 0
	default:
		return v.IsZero()
	}
}

// value writes one value. The error's Field is relative to the value.
func (w *writer) value(f *field, v reflect.Value) *FieldError {
	problem := ""
	switch f.kind {
	case textField, dateField:
		problem = w.text(v.String())
	case uuidField:
		w.uuid(at[uuid.UUID](v))
	case timeField:
		problem = w.time(at[time.Time](v))
	case boolField:
		w.b = strconv.AppendBool(w.b, v.Bool())
	case integerField:
		w.b = strconv.AppendInt(w.b, v.Int(), 10)
	case decimalField:
		w.b, problem = at[Decimal](v).appendTo(w.b)
	case optionalDecimalField:
		w.b, problem = (*at[*Decimal](v)).appendTo(w.b)
	case objectField:
		return w.object(f.object, v)
	case listField:
		return w.list(f, v)
	}
	if problem != "" {
		return &FieldError{Problem: problem}
	}
	return nil
}

func (w *writer) list(f *field, v reflect.Value) *FieldError {
	if f.item.kind == objectField && v.Len() > 0 {
		// Setting times must not change the caller's items.
		v.Set(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, v.Len()), v))
	}
	w.b = append(w.b, '[')
	for i := range v.Len() {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		if err := w.value(f.item, v.Index(i)); err != nil {
			return err.within("[" + strconv.Itoa(i) + "]")
		}
	}
	w.b = append(w.b, ']')
	return nil
}

func (w *writer) text(s string) string {
	if !utf8.ValidString(s) {
		return "not UTF-8"
	}
	w.b = appendString(w.b, s)
	return ""
}

func (w *writer) uuid(id *uuid.UUID) {
	w.b = append(w.b, '"')
	for i, end := 0, 0; i < len(id); i = end {
		if i > 0 {
			w.b = append(w.b, '-')
		}
		end = [...]int{0: 4, 4: 6, 6: 8, 8: 10, 10: 16}[i]
		w.b = hex.AppendEncode(w.b, id[i:end])
	}
	w.b = append(w.b, '"')
}

func (w *writer) time(t *time.Time) string {
	*t = canonicalTime(*t)
	if !writable(*t) {
		return wantTime + ", got " + t.String()
	}
	w.b = append(w.b, '"')
	w.b = t.AppendFormat(w.b, time.RFC3339Nano)
	w.b = append(w.b, '"')
	return ""
}

// appendString appends a UTF-8 string in quotes, with the escapes that JSON requires and no others.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
