package importer

import (
	"slices"
	"strings"
)

// key says which values of a row make it the same as another: see the package's doc.
type key struct {
	whole bool // every column of the file, as in version 0.1
	named bool // the mapping names the columns: two rows with one key are one event
	parts []keyPart
}

type keyPart struct {
	name string
	slot int
}

// describing are the fields of payloads that say nothing of what happened, only of how it is called.
var describing = []string{"itemName", "reason"}

// wholeRow is the identity of version 0.1.
const wholeRow = "all"

// decodeKey reads identity, when everything else of the mapping is known.
func (m *Mapping) decodeKey(n node) {
	if n.tree == nil {
		m.key.parts = m.madeOf()
		return
	}
	if text, ok := scalarText(n.value); ok {
		if m.key.whole = text == wholeRow; !m.key.whole {
			n.fail("want a list of the columns by which a row is known again, or %s for every column; got %q", wholeRow, text)
		}
		return
	}
	m.key.named = true
	for _, name := range n.texts("column names") {
		m.key.parts = append(m.key.parts, keyPart{name, m.names.slot(name)})
	}
	m.key.sort()
	if len(m.key.parts) == 0 || len(slices.CompactFunc(slices.Clone(m.key.parts), func(a, b keyPart) bool { return a.name == b.name })) < len(m.key.parts) {
		n.fail("want a list of the columns by which a row is known again, each once")
	}
}

// madeOf gives the columns that events are made of, but not those that only describe.
func (m *Mapping) madeOf() []keyPart {
	from := []template{m.common.tenant, m.common.source, m.common.timestamp}
	for _, r := range m.rules {
		if r.payload == nil {
			continue
		}
		from = append(from, r.aggregate)
		for _, f := range r.payload.fields {
			if !slices.Contains(describing, strings.TrimPrefix(f.name, "payload.")) {
				from = append(from, f.from)
			}
		}
	}
	columns := map[int]bool{}
	for _, t := range from {
		for _, p := range t.parts {
			if p.slot >= 0 {
				m.names.columnSlots(p.slot, columns)
			}
		}
	}
	var made key
	for slot := range columns {
		made.parts = append(made.parts, keyPart{m.names.columns[m.names.source[slot]], slot})
	}
	made.sort()
	return made.parts
}

// counted says whether rows of one key are told apart by their order, and the key is not all of a row.
func (k *key) counted() bool { return !k.named && !k.whole }

// sort puts the parts in the order of names, as all of a row has its columns.
func (k *key) sort() {
	slices.SortFunc(k.parts, func(a, b keyPart) int { return strings.Compare(a.name, b.name) })
}

// names are those of the parts.
func (k *key) names() []string {
	var names []string
	for _, p := range k.parts {
		names = append(names, p.name)
	}
	return names
}
