package settings

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/plaintext"
	"github.com/composerp/composerp/exchange/wording"
)

// DefaultConfigFile is read when it is there and no other is named.
const DefaultConfigFile = "composerp.yaml"

// configFile is a configuration file: one YAML mapping of settings. It is read
// strictly, because an unknown key that is ignored is a setting that
// has no effect.
type configFile struct {
	Path   string
	values map[string]Value // by key
}

// form is how a value may be written in the file.
type form int

const (
	asText  form = iota // a text
	asList              // a text, or a list of texts
	asSlots             // a number, or a mapping of workers to numbers
)

// value is what the file says of a setting.
func (c *configFile) value(s setting) Value {
	if c == nil || s.NotInFile {
		return Value{}
	}
	v := c.values[s.Key()]
	if s.file && v.Text != "" && !filepath.IsAbs(v.Text) {
		v.Text = filepath.Join(filepath.Dir(c.Path), v.Text)
	}
	return v
}

// parseConfig reads a configuration file. Its errors name the line.
func parseConfig(path string, raw []byte) (*configFile, error) {
	c := &configFile{Path: path, values: map[string]Value{}}
	file, err := parser.ParseBytes(plaintext.Text(raw), 0)
	if err != nil {
		return nil, c.syntax(err)
	}
	if len(file.Docs) > 1 {
		return nil, exit.Misconfigured("%s: want one YAML document, got %d", path, len(file.Docs))
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return c, nil
	}
	body := file.Docs[0].Body
	pairs, ok := body.(ast.MapNode)
	if !ok {
		return nil, c.wrong(body, "want lines such as `database_url: postgres://...`, got %s", kindOf(body))
	}
	for i := pairs.MapRange(); i.Next(); {
		if err := c.read(i.Key(), i.Value()); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// read takes one key with its value.
func (c *configFile) read(key ast.MapKeyNode, node ast.Node) error {
	name := key.GetToken().Value
	i := slices.IndexFunc(All, func(s setting) bool { return s.Key() == name && !s.NotInFile })
	if i < 0 {
		return c.wrong(key, "unknown key %q; %s", name, suggestKey(name))
	}
	s := All[i]
	written, err := s.form.read(node)
	if err != nil {
		return c.wrong(key, "%s: %v", name, err)
	}
	if written != "" && s.check != nil {
		if err := s.check(written); err != nil {
			return c.wrong(key, "%s: %q: %v", name, written, err)
		}
	}
	c.values[name] = Value{Text: written, Origin: c.place(key.GetToken())}
	return nil
}

// suggestKey suggests the nearest key, and the command that lists all keys.
func suggestKey(key string) string {
	var known []string
	for _, s := range All {
		if !s.NotInFile {
			known = append(known, s.Key())
		}
	}
	return terminal.Suggest(key, known) + "`composerp doctor --show-config` lists all settings"
}

// read gives a value as its flag would have it. An empty one is none.
func (f form) read(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.NullNode:
		return "", nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), nil
	case *ast.SequenceNode:
		if f == asList {
			return readList(n)
		}
	case *ast.IntegerNode:
		if f == asSlots {
			return n.GetToken().Value, nil
		}
	case *ast.MappingNode:
		if f == asSlots {
			return readSlots(n)
		}
	}
	switch f {
	case asList:
		return "", fmt.Errorf("want a text or a list of texts, got %s", kindOf(node))
	case asSlots:
		return "", fmt.Errorf("want a number, or a mapping of workers to numbers, got %s", kindOf(node))
	}
	return "", fmt.Errorf("want a text, got %s; put it in quotes if it is a text", kindOf(node))
}

func readList(n *ast.SequenceNode) (string, error) {
	texts := make([]string, len(n.Values))
	for i, one := range n.Values {
		var err error
		if texts[i], err = asText.read(one); err != nil {
			return "", err
		}
	}
	return strings.Join(texts, ","), nil
}

// readSlots reads "ledger: 2"; the worker "default" stands for all others.
func readSlots(n *ast.MappingNode) (string, error) {
	var parts []string
	for i := n.MapRange(); i.Next(); {
		number, ok := i.Value().(*ast.IntegerNode)
		if !ok {
			return "", fmt.Errorf("want a number for %s, got %s", i.Key().GetToken().Value, kindOf(i.Value()))
		}
		part := number.GetToken().Value
		if worker := i.Key().GetToken().Value; worker != "default" {
			part = worker + "=" + part
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ","), nil
}

// place is "composerp.yaml:3".
func (c *configFile) place(at *token.Token) string {
	if at != nil && at.Position != nil {
		return fmt.Sprintf("%s:%d", c.Path, at.Position.Line)
	}
	return c.Path
}

func (c *configFile) wrong(node ast.Node, format string, args ...any) error {
	return exit.Misconfigured("%s: %s", c.place(node.GetToken()), wording.Shortened(fmt.Sprintf(format, args...), 2*wording.MaxQuote))
}

// syntax turns the parser's error, which has several lines, into one.
func (c *configFile) syntax(err error) error {
	place, what := c.Path, strings.SplitN(err.Error(), "\n", 2)[0]
	if detailed, ok := errors.AsType[yaml.Error](err); ok {
		place, what = c.place(detailed.GetToken()), detailed.GetMessage()
	}
	return exit.Misconfigured("%s: this is not YAML: %s", place, wording.Shortened(what, wording.MaxQuote))
}

// kindOf names the kind of a value, in words for the author of the file.
func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.StringNode, *ast.LiteralNode:
		return "a text"
	}
	return "something else"
}
