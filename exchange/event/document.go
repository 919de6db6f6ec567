package event

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// kind is what a JSON value is.
type kind uint8

const (
	kindNull kind = iota
	kindFalse
	kindTrue
	kindNumber
	kindString
	kindArray
	kindObject
)

// node is one value of a document. The values stand in a row in the order of the text, every object and array right
// before what it holds, so that a whole event is one piece of memory.
type node struct {
	key    string // the member's name in an object; empty in an array
	text   string // a string's content, a number's digits
	at     int32  // where the value begins in the document's text
	next   int32  // the node after this value and all it holds
	parent int32  // the object or array that holds it; -1 for the document itself
	kind   kind
}

// document is a parsed JSON text. Strings in it are parts of the text where nothing in them was escaped.
type document struct {
	text  string
	nodes []node
}

// documents keeps nodes for the next event: parsing one then allocates nothing but the copy of its text.
var documents = sync.Pool{New: func() any { return &document{nodes: make([]node, 0, 64)} }}

// maxKeptNodes bounds what a single large event leaves behind in the pool.
const maxKeptNodes = 1024

// release gives the document's memory back. Strings taken from it stay valid, nodes do not.
func (d *document) release() {
	if cap(d.nodes) > maxKeptNodes {
		return
	}
	clear(d.nodes)
	d.nodes, d.text = d.nodes[:0], ""
	documents.Put(d)
}

// member finds a member of the object at index object. It begins to look at index from and goes round, because
// whoever reads an object mostly asks in the order in which it was written. It gives the member's index, or -1.
func (d *document) member(object, from int32, key string) int32 {
	first, end := object+1, d.nodes[object].next
	if from < first || from > end {
		from = first
	}
	for i := from; i < end; i = d.nodes[i].next {
		if d.nodes[i].key == key {
			return i
		}
	}
	for i := first; i < from; i = d.nodes[i].next {
		if d.nodes[i].key == key {
			return i
		}
	}
	return -1
}

// count gives the number of values that the object or array at index i holds itself.
func (d *document) count(i int32) int {
	n := 0
	for c, end := i+1, d.nodes[i].next; c < end; c = d.nodes[c].next {
		n++
	}
	return n
}

// path names the value at index i as errors do: payload.lines[2].quantity.
func (d *document) path(i int32) string {
	n := d.nodes[i]
	if n.parent < 0 {
		return ""
	}
	if d.nodes[n.parent].kind == kindArray {
		place := 0
		for c := n.parent + 1; c < i; c = d.nodes[c].next {
			place++
		}
		return d.path(n.parent) + "[" + strconv.Itoa(place) + "]"
	}
	return joinPath(d.path(n.parent), n.key)
}

// joinPath adds a member's name to a path.
func joinPath(path, key string) string {
	key = shorten(key)
	if path == "" {
		return key
	}
	return path + "." + key
}

// describe says what the value at index i is, for the second half of "want a number, got ...".
func (d *document) describe(i int32) string {
	n := d.nodes[i]
	switch n.kind {
	case kindNull:
		return "null"
	case kindFalse:
		return "false"
	case kindTrue:
		return "true"
	case kindNumber:
		return "number " + shorten(n.text)
	case kindString:
		return "string " + quote(n.text)
	case kindArray:
		return "an array"
	default:
		return "an object"
	}
}

// place gives the line and column, both from 1, of a byte of a text; columns count characters.
func place(text string, at int) string {
	before := text[:at]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[1+strings.LastIndexByte(before, '\n'):])
	return fmt.Sprintf("line %d, column %d", line, column)
}

// maxQuoted is how many bytes of somebody's value an error repeats.
const maxQuoted = 48

// shorten cuts a long text, between two characters.
func shorten(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	cut := maxQuoted
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// quote puts a text, shortened, into quotes and escapes what does not print.
func quote(s string) string { return strconv.Quote(shorten(s)) }
