package event

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// kind is the kind of a JSON value.
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

// node is one value of a document. The nodes are in one slice, in the order of the text: an object or array comes
// right before the values that it holds. A whole event is thus one piece of memory.
type node struct {
	key    string // the member's name in an object; empty in an array
	text   string // a string's content, a number's text
	at     int32  // the value's offset in the document's text
	next   int32  // the node after this value and all that it holds
	parent int32  // the object or array that holds it; -1 for the document itself
	kind   kind
}

// document is a parsed JSON text. A string without escapes shares the text's memory.
type document struct {
	text  string
	nodes []node
}

// documents is a pool: with it, parsing an event allocates only the copy of its text.
var documents = sync.Pool{New: func() any { return &document{nodes: make([]node, 0, 64)} }}

// maxKeptNodes is the capacity above which a document is not pooled, so that one large event does not keep its memory.
const maxKeptNodes = 1024

// release returns the document to the pool. Strings taken from it stay valid, nodes do not.
func (d *document) release() {
	if cap(d.nodes) > maxKeptNodes {
		return
	}
	clear(d.nodes)
	d.nodes, d.text = d.nodes[:0], ""
	documents.Put(d)
}

// member returns the index of a member of the object at index object, or -1. The search begins at index from and wraps
// around, because members are mostly asked for in the order in which they were written.
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

// count returns the number of members or items of the object or array at index i.
func (d *document) count(i int32) int {
	n := 0
	for c, end := i+1, d.nodes[i].next; c < end; c = d.nodes[c].next {
		n++
	}
	return n
}

// path returns the path to the value at index i, as in payload.lines[2].quantity.
func (d *document) path(i int32) string {
	n := d.nodes[i]
	if n.parent < 0 {
		return ""
	}
	if d.nodes[n.parent].kind == kindArray {
		item := 0
		for c := n.parent + 1; c < i; c = d.nodes[c].next {
			item++
		}
		return d.path(n.parent) + "[" + strconv.Itoa(item) + "]"
	}
	return joinPath(d.path(n.parent), n.key)
}

// joinPath appends a member's name to a path.
func joinPath(path, key string) string {
	key = shorten(key)
	if path == "" {
		return key
	}
	return path + "." + key
}

// describe returns the second half of "want a number, got ..." for the value at index i.
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

// position returns the line and column, both from 1, of the byte at an offset. Columns count characters.
func position(text string, at int) string {
	before := text[:at]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[1+strings.LastIndexByte(before, '\n'):])
	return fmt.Sprintf("line %d, column %d", line, column)
}

// maxQuoted is the most bytes of a value that an error repeats.
const maxQuoted = 48

// shorten cuts a long text between two characters.
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

// quote shortens a text, puts it in quotes and escapes what is not printable.
func quote(s string) string { return strconv.Quote(shorten(s)) }
