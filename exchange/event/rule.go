package event

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// rule is a JSON Schema in a form that checks a document without converting it. The schema library needs maps and
// allocates for every value, which takes about twenty times as long (BenchmarkSchema). A rule accepts only what its
// schema accepts; what it does not accept goes to the library, which decides and explains.
//
// Rules are made from the compiled schemas. A schema with a keyword that rules lack has no rule and always goes to the
// library. FuzzDecodeOutside checks that no rule accepts what the library refuses.
type rule struct {
	kinds      kindSet
	whole      bool // of numbers: integers only
	ref        *rule
	format     *format
	properties map[string]property
	required   int // the number of required properties
	items      *rule
	minItems   int
	maxItems   int
	minLength  int // in characters
	maxLength  int
	enum       []string
	signs      signSet // of numbers
}

// property is the rule of one member of an object.
type property struct {
	rule     *rule
	required bool
}

// kindSet is a set of kinds, a bit for each.
type kindSet uint8

func (s kindSet) has(k kind) bool { return s>>k&1 == 1 }

// signSet is the set of signs that a rule accepts.
type signSet struct{ negative, zero, positive bool }

// accepts returns true only when the schema accepts the value at index i. After false the library has to decide.
func (r *rule) accepts(d *document, i int32) bool {
	n := &d.nodes[i]
	if !r.kinds.has(n.kind) || r.ref != nil && !r.ref.accepts(d, i) {
		return false
	}
	if r.format != nil && r.format.of == n.kind && r.format.check(n.text) != "" {
		return false
	}
	if r.enum != nil && (n.kind != kindString || !slices.Contains(r.enum, n.text)) {
		return false
	}
	switch n.kind {
	case kindString:
		return r.acceptsLength(n.text)
	case kindNumber:
		return r.acceptsNumber(n.text)
	case kindArray:
		return r.acceptsItems(d, i)
	case kindObject:
		return r.acceptsMembers(d, i)
	default:
		return true
	}
}

func (r *rule) acceptsLength(text string) bool {
	// A text of n bytes has n/4 to n characters, so that most texts need no counting.
	if len(text) >= 4*r.minLength && len(text) <= r.maxLength {
		return true
	}
	characters := utf8.RuneCountInString(text)
	return r.minLength <= characters && characters <= r.maxLength
}

func (r *rule) acceptsNumber(text string) bool {
	if r.whole && strings.ContainsAny(text, ".eE") {
		return false
	}
	if r.signs.negative && r.signs.zero && r.signs.positive {
		return true
	}
	mantissa, _, _ := strings.Cut(text, "e")
	mantissa, _, _ = strings.Cut(mantissa, "E")
	switch {
	case !strings.ContainsAny(mantissa, "123456789"):
		return r.signs.zero
	case mantissa[0] == '-':
		return r.signs.negative
	default:
		return r.signs.positive
	}
}

func (r *rule) acceptsItems(d *document, i int32) bool {
	count := 0
	for c, end := i+1, d.nodes[i].next; c < end; c = d.nodes[c].next {
		if r.items != nil && !r.items.accepts(d, c) {
			return false
		}
		count++
	}
	return r.minItems <= count && count <= r.maxItems
}

// acceptsMembers counts the required members that it finds: the parser has refused duplicates.
func (r *rule) acceptsMembers(d *document, i int32) bool {
	if len(r.properties) == 0 {
		return true
	}
	met := 0
	for c, end := i+1, d.nodes[i].next; c < end; c = d.nodes[c].next {
		p, ok := r.properties[d.nodes[c].key]
		if !ok {
			continue
		}
		if !p.rule.accepts(d, c) {
			return false
		}
		if p.required {
			met++
		}
	}
	return met == r.required
}
