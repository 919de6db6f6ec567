package event

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// The functions below check a document against a struct without converting it. The schema library needs maps and
// allocates for every value, which takes about thirty times as long (BenchmarkSchema). They accept only what the schema
// made from the struct accepts; what they do not accept goes to the library, which decides and explains. A schema that
// Register was given may ask for more than the struct does, and always goes to the library. FuzzDecodeOutside checks
// that nothing is accepted here that the library refuses.

// longestTexts are the most characters of the texts that are no ids, by their definition in the envelope's schema.
var longestTexts = map[string]int{"name": 255, "note": 1000}

// acceptsEnvelope is the check of the envelope's schema, whose payload is any object.
func acceptsEnvelope(d *document, i int32) bool {
	payload := d.member(i, i+1, "payload")
	return payload >= 0 && d.nodes[payload].kind == kindObject && envelopeObject.accepts(d, i)
}

// accepts returns true only when the object's schema accepts the value at index i.
func (o *object) accepts(d *document, i int32) bool {
	if d.nodes[i].kind != kindObject {
		return false
	}
	next := i + 1
	for n := range o.fields {
		f := &o.fields[n]
		switch found := d.member(i, next, f.name); {
		case found >= 0 && f.accepts(d, found):
			next = d.nodes[found].next
		case found >= 0 || f.required:
			return false
		}
	}
	return true
}

func (f *field) accepts(d *document, i int32) bool {
	n := &d.nodes[i]
	if !f.suits(n.kind) {
		return false
	}
	switch f.kind {
	case uuidField:
		return formats["uuid"].check(n.text) == ""
	case timeField:
		return formats["date-time"].check(n.text) == ""
	case dateField:
		return checkDate(n.text) == ""
	case boolField:
		return true
	case integerField:
		return !strings.ContainsAny(n.text, ".eE") && f.sign.accepts(n.text)
	case decimalField, optionalDecimalField:
		return new(numeral).read(n.text) == "" && f.sign.accepts(n.text)
	case objectField:
		return f.object.accepts(d, i)
	case listField:
		return f.acceptsItems(d, i)
	default:
		return f.acceptsText(n.text)
	}
}

func (f *field) acceptsText(text string) bool {
	switch most, long := longestTexts[f.text]; {
	case f.enum != nil:
		return slices.Contains(f.enum, text)
	case long:
		return text != "" && utf8.RuneCountInString(text) <= most && checkText(text) == ""
	default:
		return checkID(text) == ""
	}
}

func (f *field) acceptsItems(d *document, i int32) bool {
	end := d.nodes[i].next
	for c := i + 1; c < end; c = d.nodes[c].next {
		if !f.item.accepts(d, c) {
			return false
		}
	}
	return end > i+1 || !f.nonempty
}

// accepts reports whether a number has the sign, without arithmetic.
func (s sign) accepts(number string) bool {
	mantissa, _, _ := strings.Cut(strings.ToLower(number), "e")
	switch {
	case s == anySign:
		return true
	case !strings.ContainsAny(mantissa, "123456789"):
		return s == nonnegative
	default:
		return s == nonzero || mantissa[0] != '-'
	}
}
