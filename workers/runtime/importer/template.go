package importer

import (
	"strings"
	"time"

	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// template is a text with names in it: "${InvoiceNo}-${Line}".
type template struct{ parts []part }

// part is a literal text, or the value of a slot.
type part struct {
	literal string
	slot    int // -1: literal
}

// decodeTemplate reads a template. A dollar sign that is meant as one is written twice.
func (m *Mapping) decodeTemplate(n node) template {
	text := n.text("a text with names in it such as ${InvoiceNo}")
	var t template
	literal := ""
	for text != "" {
		before, rest, found := strings.Cut(text, "$")
		literal += before
		if !found {
			break
		}
		if strings.HasPrefix(rest, "$") {
			literal, text = literal+"$", rest[1:]
			continue
		}
		name, behind, closed := strings.Cut(strings.TrimPrefix(rest, "{"), "}")
		if !strings.HasPrefix(rest, "{") || !closed || name == "" {
			n.fail("want a name in braces behind the $, as in ${InvoiceNo}, or $$ for a dollar sign")
			return t
		}
		if literal != "" {
			t.parts = append(t.parts, part{literal, -1})
		}
		t.parts, literal, text = append(t.parts, part{slot: m.names.slot(name)}), "", behind
	}
	if literal != "" {
		t.parts = append(t.parts, part{literal, -1})
	}
	return t
}

// only gives the slot of a template that is one name and nothing else.
func (t template) only() (int, bool) {
	if len(t.parts) == 1 && t.parts[0].slot >= 0 {
		return t.parts[0].slot, true
	}
	return 0, false
}

// render fills a row's values in.
func (t template) render(r *row) (string, *Rejection) {
	if len(t.parts) == 0 {
		return "", nil
	}
	if len(t.parts) == 1 {
		if t.parts[0].slot < 0 {
			return t.parts[0].literal, nil
		}
		return r.text(t.parts[0].slot)
	}
	var b strings.Builder
	for _, p := range t.parts {
		text := p.literal
		if p.slot >= 0 {
			value, problem := r.text(p.slot)
			if problem != nil {
				return "", problem
			}
			text = value
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

// time reads what the template gives as a moment; field is what it is wanted for.
func (t template) time(r *row, field string) (time.Time, *Rejection) {
	text, problem := t.render(r)
	if problem != nil {
		return time.Time{}, problem
	}
	moment, ok := r.moments.read(text)
	if !ok && r.serial != nil {
		if shown, is := r.serial(text); is {
			moment, ok = r.moments.shown(shown), true
		}
	}
	if !ok {
		return time.Time{}, rowfile.Reject(ReasonBadTime, "%s: %s, got %.60q%s", field, r.moments.want(), text, r.moments.hint(text))
	}
	return moment, nil
}
