package importer

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
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
}

// input is how the file is written.
type input struct {
	delimiter byte
	columns   []string // nil: the first line has them
	decimal   string   // the decimal mark
	moments   moments
}

// common is what all events of a mapping have in the same way.
type common struct {
	tenant, source, timestamp, correlation, user template
}

var topKeys = []string{"tenant", "source", "timestamp", "correlationId", "userId", "input", "constants", "derive", "rules"}

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
}

var inputKeys = []string{"delimiter", "columns", "decimal", "timezone", "times"}

func (m *Mapping) decodeInput(n, root node) {
	m.input = input{delimiter: ',', decimal: "."}
	zone, layouts := node{tree: root.tree}, []node(nil)
	if n.tree != nil {
		for _, k := range n.only("a mapping", inputKeys) {
			switch k.key {
			case "delimiter":
				m.input.delimiter = k.delimiter()
			case "columns":
				m.input.columns = k.texts("column names")
				if err := checkHeader(m.input.columns); err != nil || len(m.input.columns) == 0 {
					k.fail("want the names of the columns of a file without a header line, each once")
				}
			case "decimal":
				if m.input.decimal = k.text("a decimal mark"); m.input.decimal != "." && m.input.decimal != "," {
					k.fail("want \".\" or \",\", got %q", m.input.decimal)
				}
			case "timezone":
				zone = k.node
			case "times":
				layouts = k.list("time layouts")
			}
		}
	}
	m.input.moments = decodeMoments(zone, layouts)
}

// delimiter reads the character between two fields.
func (n node) delimiter() byte {
	text := n.text("a character")
	if n.tree.err == nil && (len(text) != 1 || strings.ContainsAny(text, "\"\r\n") || text[0] < '\t' || text[0] > '~') {
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
		if !slices.Contains(header, column) {
			missing = append(missing, fmt.Sprintf("%q", column))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	hint := ""
	if len(header) == 1 {
		for _, d := range []string{";", "\t", "|", ","} {
			if d[0] != m.input.delimiter && strings.Contains(header[0], d) {
				hint = fmt.Sprintf("; the header has one field with %q in it: is that the delimiter? (input.delimiter in the mapping)", d)
			}
		}
	}
	return fmt.Errorf("the mapping %s speaks of columns that the file has not: %s; it has %q%s", m.name, strings.Join(missing, ", "), header, hint)
}
