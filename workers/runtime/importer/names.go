package importer

import (
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
)

// names are what a mapping can speak of: the file's columns, its constants, and what it derives. Each has a place, a
// slot, so that nothing is looked up by name while rows are read.
type names struct {
	columns []string       // the file's columns that are spoken of
	known   map[string]int // the slot a name means now
	slots   []derivation   // nil for a column of the file
	source  []int          // for a column of the file, its index in columns
}

// derivation gives a value made from others of the same row.
type derivation func(r *row) cell

func newNames() names { return names{known: map[string]int{}} }

// slot gives what a name means: what was last defined by it, else the file's column.
func (n *names) slot(name string) int {
	if slot, ok := n.known[name]; ok {
		return slot
	}
	slot := len(n.slots)
	n.known[name] = slot
	n.slots, n.source = append(n.slots, nil), append(n.source, len(n.columns))
	n.columns = append(n.columns, name)
	return slot
}

// define gives a name a new meaning from here on. What was said before keeps the old one.
func (n *names) define(name string, d derivation) {
	n.known[name] = len(n.slots)
	n.slots, n.source = append(n.slots, d), append(n.source, -1)
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
	record  *record
	fields  []int // for each of the mapping's columns its index in the record, -1 when it has none
	cells   []cell
}

func newRow(m *Mapping) *row {
	return &row{mapping: m, moments: m.input.moments, cells: make([]cell, len(m.names.slots)), fields: make([]int, len(m.names.columns))}
}

// take turns to the next record.
func (r *row) take(rec *record) {
	clear(r.cells)
	if r.record == nil || !rec.uniform {
		for i, column := range r.mapping.names.columns {
			r.fields[i] = slices.Index(rec.names, column)
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
		c.text = r.record.values[i]
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
	number, err := event.ParseDecimal(c.text)
	if err != nil || r.mapping.input.decimal != "." {
		number, err = event.ParseDecimal(plainNumber(c.text, r.mapping.input.decimal))
	}
	if err != nil {
		return number, reject(ReasonBadNumber, "%s: %s", r.mapping.names.nameOf(slot), err)
	}
	c.number, c.isNumber = number, true
	return number, nil
}

// plainNumber writes a number of a till as JSON has it: no spaces around it, no plus, no zeros before it, something
// before and behind its decimal point.
func plainNumber(text, mark string) string {
	text = strings.TrimSpace(text)
	if mark == "," {
		if strings.Contains(text, ".") {
			return text + " with a decimal comma"
		}
		text = strings.Replace(text, ",", ".", 1)
	}
	text = strings.TrimPrefix(text, "+")
	digits, negative := strings.CutPrefix(text, "-")
	for len(digits) > 1 && digits[0] == '0' && '0' <= digits[1] && digits[1] <= '9' {
		digits = digits[1:]
	}
	if strings.HasPrefix(digits, ".") && len(digits) > 1 {
		digits = "0" + digits
	}
	if len(digits) > 1 {
		digits = strings.TrimSuffix(digits, ".")
	}
	if negative {
		return "-" + digits
	}
	return digits
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
