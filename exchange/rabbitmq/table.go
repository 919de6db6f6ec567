package rabbitmq

import (
	"encoding/binary"
	"fmt"
)

// The library's limits for one table or array.
const (
	mostLevels  = 32
	mostEntries = 8192
)

// fields reads over a field table, section 4.2.5.5 of the specification with RabbitMQ's types, as the library does.
type fields struct {
	rest   []byte
	wrong  string // why the library would refuse it; empty when it would not
	broken bool   // rest is not at the beginning of a field
}

func (f *fields) refuse(format string, args ...any) {
	if f.wrong == "" {
		f.wrong = fmt.Sprintf(format, args...)
	}
}

// cut ends the reading.
func (f *fields) cut(format string, args ...any) {
	f.refuse(format, args...)
	f.rest, f.broken = nil, true
}

func (f *fields) take(n int) []byte {
	if n > len(f.rest) {
		f.cut("a field of %d bytes ends before they do", n)
		return nil
	}
	taken := f.rest[:n]
	f.rest = f.rest[n:]
	return taken
}

func (f *fields) short() string {
	size := f.take(1)
	if size == nil {
		return ""
	}
	return string(f.take(int(size[0])))
}

func (f *fields) long() []byte {
	size := f.take(4)
	if size == nil {
		return nil
	}
	return f.take(int(binary.BigEndian.Uint32(size)))
}

// entries reads over the names and values of a table.
func (f *fields) entries(level int) {
	for n := 1; len(f.rest) > 0; n++ {
		if n > mostEntries {
			f.refuse("a table has more than %d entries", mostEntries)
			return
		}
		f.short()
		f.value(level)
	}
}

// elements reads over the values of an array.
func (f *fields) elements(level int) {
	for n := 1; len(f.rest) > 0; n++ {
		if n > mostEntries {
			f.refuse("an array has more than %d elements", mostEntries)
			return
		}
		f.value(level)
	}
}

// sizes are those of the types whose size is fixed.
var sizes = map[byte]int{'t': 1, 'b': 1, 'B': 1, 's': 2, 'u': 2, 'I': 4, 'i': 4, 'f': 4, 'd': 8, 'l': 8, 'T': 8, 'D': 5, 'V': 0}

func (f *fields) value(level int) {
	kind := f.take(1)
	if kind == nil {
		return
	}
	if size, fixed := sizes[kind[0]]; fixed {
		f.take(size)
		return
	}
	switch kind[0] {
	case 'S', 'x':
		f.long()
	case 'F', 'A':
		f.nested(kind[0], level+1)
	default:
		f.cut("a field has the unknown type %q", kind[0])
	}
}

// nested reads over a table or an array in a field. What is wrong in it does not keep the fields after it from being
// read.
func (f *fields) nested(kind byte, level int) {
	inner := fields{rest: f.long()}
	switch {
	case f.broken:
		return
	case level > mostLevels:
		inner.refuse("tables and arrays are nested more than %d levels deep", mostLevels)
	case kind == 'F':
		inner.entries(level)
	default:
		inner.elements(level)
	}
	if inner.wrong != "" {
		f.refuse("%s", inner.wrong)
	}
}
