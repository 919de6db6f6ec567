package importer

import (
	"fmt"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// names are what a mapping can speak of: the file's columns, its constants, and what it derives. Each has a place, a
// slot, so that nothing is looked up by name while rows are read.
type names struct {
	columns []string       // the file's columns that are spoken of
	known   map[string]int // the slot a name means now
	slots   []derivation   // nil for a column of the file
	source  []int          // for a column of the file, its index in columns
	needs   [][]int        // for a derived value, the slots it is made of
	asked   []int          // the slots that were asked for since the last definition
}

// derivation gives a value made from others of the same row.
type derivation func(r *row) cell

func newNames() names { return names{known: map[string]int{}} }

// slot gives what a name means: what was last defined by it, else the file's column.
func (n *names) slot(name string) int {
	slot, ok := n.known[name]
	if !ok {
		slot = len(n.slots)
		n.known[name] = slot
		n.slots, n.source, n.needs = append(n.slots, nil), append(n.source, len(n.columns)), append(n.needs, nil)
		n.columns = append(n.columns, name)
	}
	n.asked = append(n.asked, slot)
	return slot
}

// define gives a name a new meaning from here on. What was said before keeps the old one.
func (n *names) define(name string, d derivation) {
	n.known[name] = len(n.slots)
	n.slots, n.source, n.needs = append(n.slots, d), append(n.source, -1), append(n.needs, n.asked)
	n.asked = nil
}

// columnSlots adds the columns of the file that a slot is made of.
func (n *names) columnSlots(slot int, into map[int]bool) {
	if n.source[slot] >= 0 {
		into[slot] = true
	}
	for _, need := range n.needs[slot] {
		n.columnSlots(need, into)
	}
}

// cell is one value of a row.
type cell struct {
	done     bool
	text     string
	number   event.Decimal
	isNumber bool // number is computed, and text may be missing
	problem  *Rejection
}

// row is a record seen through a mapping. A derived value is computed when it is first asked for, so that a row that
// a rule rejects by its code is not rejected for a number that no rule needs.
type row struct {
	mapping *Mapping
	moments moments
	serial  func(text string) (time.Time, bool) // reads a workbook's times; nil where there is none
	record  *rowfile.Record
	fields  []int // for each of the mapping's columns its index in the record, -1 when it has none
	cells   []cell
}

func newRow(m *Mapping) *row {
	return &row{mapping: m, moments: m.input.moments, cells: make([]cell, len(m.names.slots)), fields: make([]int, len(m.names.columns))}
}

// take turns to the next record.
func (r *row) take(rec *rowfile.Record) {
	clear(r.cells)
	r.moments.odd = once
	if r.record == nil || !rec.Uniform {
		for i, column := range r.mapping.names.columns {
			r.fields[i] = rowfile.Column(rec.Names, column)
		}
	}
	r.record = rec
}

func (r *row) cell(slot int) *cell {
	c := &r.cells[slot]
	if c.done {
		return c
	}
	if derive := r.mapping.names.slots[slot]; derive != nil {
		*c = derive(r)
	} else if i := r.fields[r.mapping.names.source[slot]]; i >= 0 {
		c.text = rowfile.Trim(r.record.Values[i])
	}
	c.done = true
	return c
}

func (r *row) text(slot int) (string, *Rejection) {
	c := r.cell(slot)
	if c.isNumber && c.text == "" {
		c.text = c.number.String()
	}
	return c.text, c.problem
}

// number reads a value as an exact decimal.
func (r *row) number(slot int) (event.Decimal, *Rejection) {
	c := r.cell(slot)
	if c.isNumber || c.problem != nil {
		return c.number, c.problem
	}
	numbers := r.mapping.input.format.Numbers
	number, err := event.ParseDecimal(c.text)
	if err != nil || numbers.Decimal == "," {
		number, err = parseNumber(numbers, c.text)
	}
	if err != nil {
		return number, rowfile.Reject(ReasonBadNumber, "%s: %s%s", r.mapping.names.nameOf(slot), err, hintOf(numbers, c.text))
	}
	c.number, c.isNumber = number, true
	return number, nil
}

// parseNumber reads a number as a file writes it.
func parseNumber(numbers rowfile.Numbers, text string) (event.Decimal, error) {
	plain, ok := numbers.Plain(text)
	if !ok {
		return event.Decimal{}, &event.FieldError{Problem: fmt.Sprintf("want a number, got %.40q", text)}
	}
	return event.ParseDecimal(plain)
}

// wanted stands in a rejection before the options of a mapping that would have made something of the row.
const wanted = " by the mapping's input {"

// hintOf says which keys of a mapping's input would make a number of a text.
func hintOf(numbers rowfile.Numbers, text string) string {
	var ways []string
	for _, hint := range numbers.Hints(text) {
		way := ""
		for i, option := range hint {
			if i > 0 {
				way += ", "
			}
			way += fmt.Sprintf("%s: %q", option.Key, option.Value)
		}
		ways = append(ways, way)
	}
	if len(ways) == 0 {
		return ""
	}
	return "; a number" + wanted + strings.Join(ways, "} or {") + "}"
}

// nameOf gives the name a slot was last known by.
func (n *names) nameOf(slot int) string {
	for name, s := range n.known {
		if s == slot {
			return name
		}
	}
	if source := n.source[slot]; source >= 0 {
		return n.columns[source]
	}
	return "a derived value"
}
