package event

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// writer walks over fields and writes them as JSON. What it writes depends on the fields alone, so the same event is
// always the same bytes. It also sets what it writes to what will be read again: times in UTC, to the microsecond.
type writer struct {
	b    []byte
	path []string // the names of the objects it is in
	err  *FieldError
}

func (w *writer) setErr(name, problem string) {
	if w.err == nil {
		w.err = &FieldError{Field: strings.Join(append(w.path, name), "."), Problem: problem}
	}
}

// name writes a member's name, and a comma before it when it is not the first.
func (w *writer) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) text(name string, v *string, n need) {
	if n == optional && *v == "" {
		return
	}
	if !utf8.ValidString(*v) {
		w.setErr(name, "not UTF-8")
		return
	}
	w.name(name)
	w.b = appendString(w.b, *v)
}

func (w *writer) uuid(name string, v *uuid.UUID) {
	w.name(name)
	w.b = append(w.b, '"')
	for i, end := 0, 0; i < len(v); i = end {
		if i > 0 {
			w.b = append(w.b, '-')
		}
		end = [...]int{0: 4, 4: 6, 6: 8, 8: 10, 10: 16}[i]
		w.b = hex.AppendEncode(w.b, v[i:end])
	}
	w.b = append(w.b, '"')
}

func (w *writer) timestamp(name string, v *time.Time) {
	*v = canonicalTime(*v)
	if !speakable(*v) {
		w.setErr(name, wantTime+", got "+v.String())
		return
	}
	w.name(name)
	w.b = append(w.b, '"')
	w.b = v.AppendFormat(w.b, time.RFC3339Nano)
	w.b = append(w.b, '"')
}

func (w *writer) date(name string, v *Date, n need) { w.text(name, (*string)(v), n) }

func (w *writer) integer(name string, v *int64, n need) {
	if n == optional && *v == 0 {
		return
	}
	w.name(name)
	w.b = strconv.AppendInt(w.b, *v, 10)
}

func (w *writer) decimal(name string, v *Decimal, n need) {
	if n == optional && v.IsZero() {
		return
	}
	w.name(name)
	w.number(name, *v)
}

func (w *writer) price(name string, v **Decimal) {
	if *v == nil {
		return
	}
	w.name(name)
	w.number(name, **v)
}

func (w *writer) number(name string, d Decimal) {
	var problem string
	if w.b, problem = d.appendTo(w.b); problem != "" {
		w.setErr(name, problem)
	}
}

func (w *writer) decimals(name string, v *[]Decimal) {
	if w.err != nil {
		return
	}
	w.name(name)
	w.b = append(w.b, '[')
	for i, d := range *v {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		if w.number(name, d); w.err != nil {
			w.err.Field += "[" + strconv.Itoa(i) + "]"
			return
		}
	}
	w.b = append(w.b, ']')
}

func (w *writer) object(name string, v fielder, _ need) {
	w.name(name)
	w.enter(name, v)
}

// enter writes v as an object and comes back.
func (w *writer) enter(name string, v fielder) {
	w.path = append(w.path, name)
	w.b = append(w.b, '{')
	v.fields(w)
	w.b = append(w.b, '}')
	w.path = w.path[:len(w.path)-1]
}

func (w *writer) objects(name string, v fielderList) {
	w.name(name)
	w.b = append(w.b, '[')
	for i := range v.length() {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.enter(name+"["+strconv.Itoa(i)+"]", v.item(i))
	}
	w.b = append(w.b, ']')
}

// appendString writes a string, which is UTF-8, with the escapes that JSON demands and no others.
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
