package event

import (
	"strconv"
	"time"

	"github.com/google/uuid"
)

// reader walks over an object of a document and fills fields from it.
type reader struct {
	doc  *document
	at   int32 // the object
	next int32 // where to look first for the next field
	err  *FieldError
}

func (r *reader) setErr(field, problem string) {
	if r.err == nil {
		r.err = &FieldError{Field: field, Problem: problem}
	}
}

// find gives the index of a member of the wanted kind, or -1 when there is nothing to read.
func (r *reader) find(name string, n need, k kind, want string) int32 {
	if r.err != nil {
		return -1
	}
	i := r.doc.member(r.at, r.next, name)
	switch {
	case i >= 0 && r.doc.nodes[i].kind == k:
		r.next = r.doc.nodes[i].next
		return i
	case i >= 0:
		r.mismatch(i, want)
	case n == required:
		r.setErr(joinPath(r.doc.path(r.at), name), "missing")
	}
	return -1
}

func (r *reader) mismatch(i int32, want string) {
	r.setErr(r.doc.path(i), want+", got "+r.doc.describe(i))
}

const (
	wantString = "want a string"
	wantNumber = "want a number"
	wantWhole  = "want a whole number"
	wantArray  = "want an array"
	wantObject = "want an object"
)

func (r *reader) text(name string, v *string, n need) {
	if i := r.find(name, n, kindString, wantString); i >= 0 {
		*v = r.doc.nodes[i].text
	}
}

func (r *reader) uuid(name string, v *uuid.UUID) {
	i := r.find(name, required, kindString, wantString)
	if i < 0 {
		return
	}
	id, problem := parseUUID(r.doc.nodes[i].text)
	if problem != "" {
		r.mismatch(i, problem)
	}
	*v = id
}

func (r *reader) timestamp(name string, v *time.Time) {
	i := r.find(name, required, kindString, wantString)
	if i < 0 {
		return
	}
	t, problem := parseTime(r.doc.nodes[i].text)
	if problem != "" {
		r.mismatch(i, problem)
	}
	*v = t
}

func (r *reader) date(name string, v *Date, n need) {
	i := r.find(name, n, kindString, wantString)
	if i < 0 {
		return
	}
	if problem := checkDate(r.doc.nodes[i].text); problem != "" {
		r.mismatch(i, problem)
	}
	*v = Date(r.doc.nodes[i].text)
}

func (r *reader) decimal(name string, v *Decimal, n need) {
	if i := r.find(name, n, kindNumber, wantNumber); i >= 0 {
		*v = r.number(i)
	}
}

func (r *reader) price(name string, v **Decimal) {
	if i := r.find(name, optional, kindNumber, wantNumber); i >= 0 {
		d := r.number(i)
		*v = &d
	}
}

// number reads the number at index i as a decimal.
func (r *reader) number(i int32) Decimal {
	d, problem := parseDecimal(r.doc.nodes[i].text)
	if problem != "" {
		r.setErr(r.doc.path(i), problem)
	}
	return d
}

// integer reads 3 and, as JSON Schema does, 3.0.
func (r *reader) integer(name string, v *int64, n need) {
	i := r.find(name, n, kindNumber, wantNumber)
	if i < 0 {
		return
	}
	if whole, err := strconv.ParseInt(r.doc.nodes[i].text, 10, 64); err == nil {
		*v = whole
		return
	}
	d := r.number(i)
	if !d.IsInteger() {
		r.mismatch(i, wantWhole)
	}
	*v = d.IntPart()
}

func (r *reader) decimals(name string, v *[]Decimal) {
	i := r.find(name, required, kindArray, wantArray)
	if i < 0 {
		return
	}
	*v = make([]Decimal, 0, r.doc.count(i))
	for c, end := i+1, r.doc.nodes[i].next; c < end && r.err == nil; c = r.doc.nodes[c].next {
		if r.doc.nodes[c].kind != kindNumber {
			r.mismatch(c, wantNumber)
			return
		}
		*v = append(*v, r.number(c))
	}
}

func (r *reader) object(name string, v fielder, n need) {
	if i := r.find(name, n, kindObject, wantObject); i >= 0 {
		r.enter(i, v)
	}
}

// enter walks v over the object at index i, and comes back.
func (r *reader) enter(i int32, v fielder) {
	outer, next := r.at, r.next
	r.at, r.next = i, i+1
	v.fields(r)
	r.at, r.next = outer, next
}

func (r *reader) objects(name string, v fielderList) {
	i := r.find(name, required, kindArray, wantArray)
	if i < 0 {
		return
	}
	v.resize(r.doc.count(i))
	place := 0
	for c, end := i+1, r.doc.nodes[i].next; c < end && r.err == nil; c = r.doc.nodes[c].next {
		if r.doc.nodes[c].kind != kindObject {
			r.mismatch(c, wantObject)
			return
		}
		r.enter(c, v.item(place))
		place++
	}
}
