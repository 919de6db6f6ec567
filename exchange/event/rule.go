package event

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// rule is a compiled JSON Schema boiled down to what can be asked of a document as it lies in memory. The schema
// library wants every event as maps first and allocates for every value it looks at: it takes about twenty times as
// long as a rule (BenchmarkSchema), and every event of the fleet would pay that. A rule says yes to what the schema
// allows; where it does not say yes, the library is asked, which has the last word and gives the reason. Rules are made from the schemas, never
// written, and a schema with a keyword that is not known here gets none, so the schema files stay the only truth.
// A rule that says yes too easily would be a hole: a fuzz test holds the two against each other.
type rule struct {
	kinds      kindSet
	whole      bool // of numbers: integers only
	ref        *rule
	format     *format
	properties map[string]property
	required   int // how many of the properties are
	items      *rule
	minItems   int
	maxItems   int
	minLength  int // in characters
	maxLength  int
	enum       []string
	signs      signSet // of numbers
}

// property is what an object's rule says of one member.
type property struct {
	rule     *rule
	required bool
}

// kindSet is a set of kinds, a bit for each.
type kindSet uint8

func (s kindSet) has(k kind) bool { return s>>k&1 == 1 }

// signSet is the set of signs that a number may have.
type signSet struct{ negative, zero, positive bool }

// holds says that the schema allows the value at index i. False says nothing.
func (r *rule) holds(d *document, i int32) bool {
	n := &d.nodes[i]
	if !r.kinds.has(n.kind) || r.ref != nil && !r.ref.holds(d, i) {
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
		return r.holdsLength(n.text)
	case kindNumber:
		return r.holdsNumber(n.text)
	case kindArray:
		return r.holdsItems(d, i)
	case kindObject:
		return r.holdsMembers(d, i)
	default:
		return true
	}
}

func (r *rule) holdsLength(text string) bool {
	// A text has at least a quarter as many characters as bytes and at most as many, so most need no counting.
	if len(text) >= 4*r.minLength && len(text) <= r.maxLength {
		return true
	}
	characters := utf8.RuneCountInString(text)
	return r.minLength <= characters && characters <= r.maxLength
}

func (r *rule) holdsNumber(text string) bool {
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

func (r *rule) holdsItems(d *document, i int32) bool {
	count := 0
	for c, end := i+1, d.nodes[i].next; c < end; c = d.nodes[c].next {
		if r.items != nil && !r.items.holds(d, c) {
			return false
		}
		count++
	}
	return r.minItems <= count && count <= r.maxItems
}

// holdsMembers counts the required members it meets: the parser has made sure that none comes twice.
func (r *rule) holdsMembers(d *document, i int32) bool {
	if len(r.properties) == 0 {
		return true
	}
	met := 0
	for c, end := i+1, d.nodes[i].next; c < end; c = d.nodes[c].next {
		p, ok := r.properties[d.nodes[c].key]
		if !ok {
			continue
		}
		if !p.rule.holds(d, c) {
			return false
		}
		if p.required {
			met++
		}
	}
	return met == r.required
}
