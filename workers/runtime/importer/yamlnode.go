package importer

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/composerp/composerp/exchange/plaintext"
	"github.com/composerp/composerp/exchange/wording"
)

// MappingError says what is wrong with a mapping, and where.
type MappingError struct {
	File    string
	Line    int    // 0: the file as a whole
	Key     string // as in "rules[1].payload.quantity"; empty: the line, or the file, as a whole
	Problem string // what was found, and what is allowed there
}

// Error gives "retail.yaml:12: rules[1].event: ...".
func (e *MappingError) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Key != "" {
		place += ": " + e.Key
	}
	return place + ": " + wording.Shortened(wording.OneLine(e.Problem), 2*wording.MaxQuote)
}

// tree is a parsed YAML file. Reading on after a first error does no harm: the first one is kept, and what is read
// then is empty.
type tree struct {
	file    string
	anchors map[string]ast.Node
	err     error
}

// node is one value of a YAML file. Decoding goes over nodes, not into structs, so that every error knows its line
// and key and can say what is allowed there.
type node struct {
	tree  *tree
	path  string
	value ast.Node
	line  int
}

// parseTree parses a file that must hold one YAML mapping.
func parseTree(name string, text []byte) (node, error) {
	t := &tree{file: filepath.Base(name), anchors: map[string]ast.Node{}}
	file, err := parser.ParseBytes(plaintext.Text(text), 0)
	if err != nil {
		return node{}, t.syntax(err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return node{}, &MappingError{File: t.file, Problem: "want one YAML document with the keys " + strings.Join(topKeys, ", ")}
	}
	ast.Walk(t, file.Docs[0].Body)
	return t.node("", file.Docs[0].Body, 1), t.err
}

// syntax turns a parser's error, which has several lines and a piece of the file, into one line.
func (t *tree) syntax(err error) error {
	e := &MappingError{File: t.file, Problem: strings.SplitN(err.Error(), "\n", 2)[0]}
	var detailed yaml.Error
	if errors.As(err, &detailed) {
		e.Problem = detailed.GetMessage()
		if token := detailed.GetToken(); token != nil && token.Position != nil {
			e.Line = token.Position.Line
		}
	}
	return e
}

// Visit notes the anchors.
func (t *tree) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok && anchor.Name != nil {
		t.anchors[anchor.Name.GetToken().Value] = anchor.Value
	}
	return t
}

// node makes a node of a value, or of what an alias stands for.
func (t *tree) node(path string, value ast.Node, line int) node {
	n := node{tree: t, path: path, value: value, line: line}
	if token := tokenOf(value); token > 0 {
		n.line = token
	}
	switch v := value.(type) {
	case *ast.AnchorNode:
		n.value = v.Value
	case *ast.AliasNode:
		name := v.Value.GetToken().Value
		target, ok := t.anchors[name]
		if !ok {
			n.fail("no anchor &%s in this file", name)
		}
		n.value = target
	}
	return n
}

// tokenOf gives the line a value begins on, 0 when it does not know.
func tokenOf(value ast.Node) int {
	if value == nil {
		return 0
	}
	if token := value.GetToken(); token != nil && token.Position != nil {
		return token.Position.Line
	}
	return 0
}

// fail keeps the first error.
func (n node) fail(format string, args ...any) {
	if n.tree.err == nil {
		n.tree.err = &MappingError{File: n.tree.file, Line: n.line, Key: n.path, Problem: fmt.Sprintf(format, args...)}
	}
}

// member is one key of a YAML mapping with its value.
type member struct {
	key string
	node
}

// members gives the keys of a mapping in the order of the file. want says what the mapping should be.
func (n node) members(want string) []member {
	if n.tree.err != nil {
		return nil
	}
	pairs, ok := n.value.(ast.MapNode)
	if !ok {
		n.fail("want %s, got %s", want, n.describe())
		return nil
	}
	var members []member
	for i := pairs.MapRange(); i.Next(); {
		text, ok := scalarText(i.Key())
		if !ok || i.Key().IsMergeKey() {
			n.fail("a key must be a plain text, got %s", i.Key().String())
			return nil
		}
		path := text
		if n.path != "" {
			path = n.path + "." + text
		}
		line := tokenOf(i.Key())
		child := n.tree.node(path, i.Value(), line)
		child.line = line
		if slices.ContainsFunc(members, func(m member) bool { return m.key == text }) {
			child.fail("the key stands there twice")
		}
		members = append(members, member{text, child})
	}
	return members
}

// only is members with a closed set of keys.
func (n node) only(want string, allowed []string) []member {
	members := n.members(want)
	for _, m := range members {
		if !slices.Contains(allowed, m.key) {
			m.fail("unknown key; allowed here: %s", strings.Join(allowed, ", "))
			return nil
		}
	}
	return members
}

// keyed is only by key.
func (n node) keyed(want string, allowed []string) map[string]node {
	keys := map[string]node{}
	for _, k := range n.only(want, allowed) {
		keys[k.key] = k.node
	}
	return keys
}

// list gives the values of a sequence. want says what it should hold.
func (n node) list(want string) []node {
	if n.tree.err != nil {
		return nil
	}
	sequence, ok := n.value.(*ast.SequenceNode)
	if !ok {
		n.fail("want a list of %s, got %s", want, n.describe())
		return nil
	}
	nodes := make([]node, len(sequence.Values))
	for i, v := range sequence.Values {
		nodes[i] = n.tree.node(fmt.Sprintf("%s[%d]", n.path, i), v, n.line)
	}
	return nodes
}

// text gives a scalar as it is written: 007 is "007".
func (n node) text(want string) string {
	if n.tree.err != nil {
		return ""
	}
	text, ok := scalarText(n.value)
	if !ok {
		n.fail("want %s, got %s", want, n.describe())
	}
	return text
}

// texts gives a list of scalars.
func (n node) texts(want string) []string {
	var texts []string
	for _, v := range n.list(want) {
		texts = append(texts, v.text(want))
	}
	return texts
}

func scalarText(value ast.Node) (string, bool) {
	switch v := value.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		if v.Value == nil {
			return "", false
		}
		return v.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return v.GetToken().Value, true
	}
	return "", false
}

func (n node) describe() string {
	switch v := n.value.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case ast.MapNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	default:
		if text, ok := scalarText(v); ok {
			return fmt.Sprintf("%q", text)
		}
		return "a YAML " + v.Type().String()
	}
}
