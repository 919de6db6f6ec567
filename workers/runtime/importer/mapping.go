package importer

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"

	"github.com/composerp/composerp/workers/runtime/importer/rowfile"
)

// Mapping says what the rows of a file mean. It is read by LoadMapping and only read from then on, so that one may
// serve several imports at once. The package's doc has its language.
type Mapping struct {
	name   string
	sum    [sha256.Size]byte
	input  input
	names  names
	common common
	rules  []rule
	key    key
}

// input is how the file is written.
type input struct {
	format  rowfile.Format
	moments moments
}

// common is what all events of a mapping have in the same way.
type common struct {
	tenant, source, timestamp, correlation, user template
}

var topKeys = []string{"tenant", "source", "timestamp", "correlationId", "userId", "input", "identity", "constants", "derive", "rules"}

// maxMapping is the size of the largest mapping that is read, in bytes.
const maxMapping = 1 << 20

// LoadMapping reads a mapping. The error is a *MappingError where it is the mapping's.
func LoadMapping(path string) (*Mapping, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the mapping: %w", err)
	}
	return parseMapping(path, text)
}

func parseMapping(name string, text []byte) (*Mapping, error) {
	if len(text) > maxMapping {
		return nil, &MappingError{File: name, Problem: fmt.Sprintf("the mapping has %d bytes, at most %d are allowed", len(text), maxMapping)}
	}
	root, err := parseTree(name, text)
	if err != nil {
		return nil, err
	}
	m := &Mapping{name: name, sum: sha256.Sum256(text), names: newNames()}
	m.decode(root)
	if root.tree.err != nil {
		return nil, root.tree.err
	}
	return m, nil
}

// decode reads the keys in the order in which they build on one another, wherever they stand in the file.
func (m *Mapping) decode(root node) {
	keys := root.keyed("a mapping", topKeys)
	for _, must := range []string{"tenant", "source", "timestamp", "rules"} {
		if _, ok := keys[must]; !ok {
			root.line = 0
			root.fail("the key %q is missing; a mapping has the keys %s", must, strings.Join(topKeys, ", "))
			return
		}
	}
	m.decodeInput(keys["input"], root)
	if n, ok := keys["constants"]; ok {
		for _, c := range n.members("names with their values") {
			m.names.define(c.key, constant(c.text("a text")))
		}
	}
	m.names.asked = nil
	if n, ok := keys["derive"]; ok {
		for _, d := range n.members("names with how they are derived") {
			m.names.define(d.key, m.decodeDerived(d.node))
		}
	}
	for key, into := range map[string]*template{
		"tenant": &m.common.tenant, "source": &m.common.source, "timestamp": &m.common.timestamp,
		"correlationId": &m.common.correlation, "userId": &m.common.user,
	} {
		if n, ok := keys[key]; ok {
			*into = m.decodeTemplate(n)
		}
	}
	m.decodeRules(keys["rules"])
	m.decodeKey(keys["identity"])
}

var inputKeys = []string{"delimiter", "columns", "encoding", "sheet", "decimal", "thousands", "negatives", "currency", "timezone", "times"}

func (m *Mapping) decodeInput(n, root node) {
	zone, layouts := node{tree: root.tree}, []node(nil)
	f := &m.input.format
	if n.tree != nil {
		for _, k := range n.only("a mapping", inputKeys) {
			switch k.key {
			case "delimiter":
				f.Delimiter = k.delimiter()
			case "columns":
				if f.Columns = k.texts("column names"); !rowfile.CheckColumns(f.Columns) {
					k.fail("want the names of the columns of a file without a header line, each once")
				}
			case "encoding":
				if f.Encoding = k.text("an encoding"); !rowfile.IsEncoding(f.Encoding) {
					k.fail("want windows-1252 or UTF-8; UTF-16 is known by itself")
				}
			case "sheet":
				f.Sheet = k.text("the name of a workbook's sheet")
			case "timezone":
				zone = k.node
			case "times":
				layouts = k.list("time layouts")
			default:
				k.decodeNumbers(&f.Numbers)
			}
		}
	}
	m.input.moments = decodeMoments(zone, layouts)
}

// decodeNumbers reads an option of how numbers are written.
func (k member) decodeNumbers(into *rowfile.Numbers) {
	switch k.key {
	case "decimal":
		into.Decimal = k.text("a decimal mark")
	case "thousands":
		into.Thousands = k.text("the mark between groups of three digits")
	case "negatives":
		into.Negatives = k.oneOrMore("ways to write a number below zero")
	case "currency":
		into.Currency = k.oneOrMore("currency signs")
	}
	if problem := into.Check(); problem != "" {
		k.fail("%s", strings.TrimPrefix(problem, k.key+": "))
	}
}

// oneOrMore reads a text, or a list of texts.
func (n node) oneOrMore(want string) []string {
	if text, ok := scalarText(n.value); ok {
		return []string{text}
	}
	return n.texts(want)
}

// delimiter reads the character between two fields.
func (n node) delimiter() byte {
	text := n.text("a character")
	if n.tree.err == nil && !rowfile.IsDelimiter(text) {
		n.fail("want one character such as \",\" \";\" \"|\" or \"\\t\", got %q", text)
	}
	if text == "" {
		return 0
	}
	return text[0]
}

// checkColumns holds the columns a mapping speaks of against those a file has.
func (m *Mapping) checkColumns(header []string) error {
	var missing []string
	for _, column := range m.names.columns {
		if rowfile.Column(header, column) < 0 {
			missing = append(missing, fmt.Sprintf("%q", column))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	hint := ""
	for _, d := range []string{";", "\t", "|", ","} {
		if len(header) == 1 && strings.Contains(header[0], d) {
			hint = fmt.Sprintf("; the header has one field with %q in it: is that the delimiter? (input.delimiter in the mapping)", d)
		}
	}
	return fmt.Errorf("the mapping %s speaks of columns that the file has not: %s; it has %.200q%s", m.name, strings.Join(missing, ", "), header, hint)
}

// rowsOf begins to read a file from its beginning.
func rowsOf(s *rowfile.File, m *Mapping) (rowfile.Records, error) {
	if m == nil {
		if NeedsMapping(s.Name()) {
			return nil, fmt.Errorf("reading %s: a file of columns needs a mapping that says what they mean", s.Name())
		}
		return s.Rows(rowfile.Format{}, false, nil)
	}
	return s.Rows(m.input.format, true, func(header []string) error {
		if err := m.checkColumns(header); err != nil {
			return fmt.Errorf("reading %s: %w", s.Name(), err)
		}
		return nil
	})
}

// NeedsMapping says whether a file of this name has columns that a mapping must give a meaning: NDJSON may have whole
// events instead.
func NeedsMapping(name string) bool {
	kind, _ := rowfile.KindOf(name)
	return kind != rowfile.KindNDJSON
}
