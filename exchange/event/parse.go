package event

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds on any JSON text, in known and unknown fields. Real events stay far below them; a text that exceeds them is
// refused before anything is computed from it.
const (
	maxDepth        = 32
	maxValues       = 100_000
	maxNumberLength = 64
	maxExponent     = 308
	// fewMembers is the number of members up to which comparing names is cheaper than a set of them.
	fewMembers = 16
)

// parser reads one JSON text into nodes. encoding/json does not suffice: it takes the last of two equal keys, matches
// keys regardless of case, and silently replaces invalid UTF-8.
type parser struct {
	doc   *document
	s     string
	i     int
	depth int
	err   *FieldError
}

// parse reads a JSON text that is an object. The caller must release the document.
func parse(body []byte) (*document, *FieldError) {
	if len(body) > MaxBody {
		return nil, &FieldError{
			Problem: fmt.Sprintf("the event has %d bytes, at most %d are allowed", len(body), MaxBody),
			kind:    ErrTooLarge,
		}
	}
	d := documents.Get().(*document)
	d.text = string(body)
	p := parser{doc: d, s: d.text}
	if err := p.document(); err != nil {
		d.release()
		return nil, err
	}
	return d, nil
}

func (p *parser) document() *FieldError {
	if !utf8.ValidString(p.s) {
		at := 0
		for {
			r, size := utf8.DecodeRuneInString(p.s[at:])
			if r == utf8.RuneError && size <= 1 {
				return &FieldError{Problem: position(p.s, at) + ": not UTF-8"}
			}
			at += size
		}
	}
	p.space()
	if p.i < len(p.s) && p.s[p.i] != '{' {
		p.fail("want a JSON object, got %s", p.here())
		return p.err
	}
	p.value("", -1)
	p.space()
	if p.err == nil && p.i < len(p.s) {
		p.fail("want nothing after the object, got %s", p.here())
	}
	return p.err
}

// value reads a value and appends its nodes. After an error the document is unusable.
func (p *parser) value(key string, parent int32) {
	d := p.doc
	if len(d.nodes) >= maxValues {
		p.fail("more than %d values", maxValues)
	}
	if p.i >= len(p.s) {
		p.fail("the text ends in the middle")
	}
	if p.err != nil {
		return
	}
	index := int32(len(d.nodes))
	d.nodes = append(d.nodes, node{key: key, at: int32(p.i), parent: parent})
	switch c := p.s[p.i]; {
	case c == '{':
		d.nodes[index].kind = kindObject
		p.object(index)
	case c == '[':
		d.nodes[index].kind = kindArray
		p.array(index)
	case c == '"':
		text := p.string()
		d.nodes[index].kind, d.nodes[index].text = kindString, text
	case c == '-' || '0' <= c && c <= '9':
		text := p.number(index)
		d.nodes[index].kind, d.nodes[index].text = kindNumber, text
	case strings.HasPrefix(p.s[p.i:], "true"):
		d.nodes[index].kind = kindTrue
		p.i += len("true")
	case strings.HasPrefix(p.s[p.i:], "false"):
		d.nodes[index].kind = kindFalse
		p.i += len("false")
	case strings.HasPrefix(p.s[p.i:], "null"):
		p.i += len("null")
	default:
		p.fail("want a value, got %s", p.here())
	}
	d.nodes[index].next = int32(len(d.nodes))
}

func (p *parser) object(index int32) {
	if !p.enter() {
		return
	}
	var names map[string]struct{}
	for members := 0; !p.closes('}', members, "a name in quotes"); members++ {
		at := p.i
		key := p.string()
		if p.err != nil {
			return
		}
		if names = p.once(index, key, members, names); p.err != nil {
			p.err.Problem += ", the second time at " + position(p.s, at)
			return
		}
		p.space()
		if p.i >= len(p.s) || p.s[p.i] != ':' {
			p.fail("want a colon after %s, got %s", quote(key), p.here())
			return
		}
		p.i++
		p.space()
		p.value(key, index)
	}
	p.depth--
}

// once fails when the object already has a member of that name. Beyond a few members it uses a set of their names, so
// that the time does not grow with the square of their number. It returns that set, or nil.
func (p *parser) once(object int32, key string, members int, names map[string]struct{}) map[string]struct{} {
	nodes := p.doc.nodes
	if names == nil && members == fewMembers {
		names = make(map[string]struct{}, 2*fewMembers)
		for c := object + 1; c < int32(len(nodes)); c = nodes[c].next {
			names[nodes[c].key] = struct{}{}
		}
	}
	twice := false
	if names != nil {
		_, twice = names[key]
		names[key] = struct{}{}
	} else {
		for c := object + 1; c < int32(len(nodes)) && !twice; c = nodes[c].next {
			twice = nodes[c].key == key
		}
	}
	if twice {
		p.err = &FieldError{Field: joinPath(p.doc.path(object), key), Problem: "given twice"}
	}
	return names
}

func (p *parser) array(index int32) {
	if !p.enter() {
		return
	}
	for items := 0; !p.closes(']', items, "a value"); items++ {
		p.value("", index)
	}
	p.depth--
}

// enter moves past the opening bracket, one level down.
func (p *parser) enter() bool {
	if p.depth++; p.depth > maxDepth {
		p.fail("nested more than %d deep", maxDepth)
		return false
	}
	p.i++
	return true
}

// closes moves past the closing bracket, or past the comma between two members or items. It returns true when there
// is nothing more to read: at the bracket, or after an error.
func (p *parser) closes(bracket byte, before int, thing string) bool {
	p.space()
	switch {
	case p.err != nil:
		return true
	case p.i >= len(p.s):
		p.fail("the text ends in the middle")
		return true
	case p.s[p.i] == bracket:
		p.i++
		return true
	case before == 0:
	case p.s[p.i] != ',':
		p.fail("want a comma or %c, got %s", bracket, p.here())
		return true
	default:
		p.i++
		p.space()
	}
	if bracket == '}' && (p.i >= len(p.s) || p.s[p.i] != '"') || p.i < len(p.s) && p.s[p.i] == bracket {
		p.fail("want %s, got %s", thing, p.here())
		return true
	}
	return false
}

func (p *parser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

// here describes the next character.
func (p *parser) here() string {
	if p.i >= len(p.s) {
		return "the end"
	}
	r, _ := utf8.DecodeRuneInString(p.s[p.i:])
	return fmt.Sprintf("%q", r)
}

// fail records an error at the parser's position, unless there is one already.
func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		at := min(p.i, len(p.s))
		p.err = &FieldError{Problem: position(p.s, at) + ": " + fmt.Sprintf(format, args...)}
	}
}
