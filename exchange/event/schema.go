package event

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaFiles are the contract with everybody outside: the envelope's schema, and one per type and version for its
// payload. Their $refs are file names, so a copy of the folder works with any validator.
//
//go:embed schema/*.json
var schemaFiles embed.FS

// schema is a JSON Schema, as its library holds it and as a rule.
type schema struct {
	full *jsonschema.Schema
	// fast says yes for what the schema allows, quickly; its no says nothing. It is nil when the schema uses what
	// rules do not know.
	fast *rule
}

// schemaSet is the schema of the envelope, and those of the payloads by type and version.
type schemaSet struct {
	envelope *schema
	payloads map[Type]map[string]*schema
}

// envelopeFile is the schema that is not a payload's.
const envelopeFile = "envelope-1.0.json"

// schemaBase stands before the schemas' names while they are compiled; nothing is ever fetched from it.
const schemaBase = "embedded:///schema/"

// schemaText gives the text of a schema file, and nothing when there is none.
func schemaText(name string) string {
	text, err := schemaFiles.ReadFile("schema/" + name)
	if err != nil {
		return ""
	}
	return string(text)
}

// schemaTexts gives the texts of all schema files, and the schemas of these entries, by their files' names.
func schemaTexts(entries []*entry) map[string]string {
	texts := make(map[string]string)
	files, err := schemaFiles.ReadDir("schema")
	if err != nil {
		panic(err) // The folder is embedded under that very name.
	}
	for _, f := range files {
		texts[f.Name()] = schemaText(f.Name())
	}
	for _, e := range entries {
		if e.Schema != "" {
			texts[e.schemaFile()] = e.Schema
		}
	}
	return texts
}

// compileSchemas compiles schemas by their files' names.
func compileSchemas(texts map[string]string) (schemaSet, error) {
	set := schemaSet{payloads: make(map[Type]map[string]*schema)}
	c, err := newCompiler(texts)
	if err != nil {
		return set, err
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		full, err := c.Compile(schemaBase + name)
		if err != nil {
			return set, fmt.Errorf("compiling schema %s: %w", name, err)
		}
		s := &schema{full: full, fast: ruleOf(full)}
		if name == envelopeFile {
			set.envelope = s
			continue
		}
		what, version, _ := strings.Cut(strings.TrimSuffix(name, ".json"), "-")
		if set.payloads[Type(what)] == nil {
			set.payloads[Type(what)] = make(map[string]*schema)
		}
		set.payloads[Type(what)][version] = s
	}
	return set, nil
}

// newCompiler makes a compiler that knows these schemas and our formats, and looks nowhere else.
func newCompiler(texts map[string]string) (*jsonschema.Compiler, error) {
	c := jsonschema.NewCompiler()
	c.UseLoader(jsonschema.SchemeURLLoader{})
	c.AssertFormat()
	for name, f := range formats {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: f.validate})
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(texts[name]))
		if err != nil {
			return nil, fmt.Errorf("reading schema %s: %w", name, err)
		}
		if err := c.AddResource(schemaBase+name, doc); err != nil {
			return nil, fmt.Errorf("adding schema %s: %w", name, err)
		}
	}
	return c, nil
}

// validate holds the document to the envelope's schema and to the one of its type and version.
func (d *document) validate() *FieldError {
	all := known.Load().schemas()
	if err := all.envelope.check(d, 0); err != nil {
		return err
	}
	// The envelope's schema has made sure that these are there, and strings.
	t := Type(d.nodes[d.member(0, 1, "eventType")].text)
	version := d.nodes[d.member(0, 1, "version")].text
	e, err := lookup(t)
	if err != nil {
		return err
	}
	s, ok := all.payloads[t][version]
	if !ok {
		return &FieldError{Field: "version", Problem: fmt.Sprintf("no version %s of %s, want %q", quote(version), t, e.Version)}
	}
	return s.check(d, d.member(0, 1, "payload"))
}

// check holds the value at index i to the schema. The library has the last word, and gives the reason.
func (s *schema) check(d *document, i int32) *FieldError {
	if s.fast != nil && s.fast.holds(d, i) {
		return nil
	}
	err := s.full.Validate(d.value(i))
	if err == nil {
		return nil
	}
	return d.explain(i, err)
}

// value gives the value at index i as the schema library wants it: numbers as their text, whose length and exponent
// the parser has bounded.
func (d *document) value(i int32) any {
	n := d.nodes[i]
	switch n.kind {
	case kindNull:
		return nil
	case kindFalse, kindTrue:
		return n.kind == kindTrue
	case kindNumber:
		return json.Number(n.text)
	case kindString:
		return n.text
	case kindArray:
		items := make([]any, 0, d.count(i))
		for c := i + 1; c < n.next; c = d.nodes[c].next {
			items = append(items, d.value(c))
		}
		return items
	default:
		members := make(map[string]any, d.count(i))
		for c := i + 1; c < n.next; c = d.nodes[c].next {
			members[d.nodes[c].key] = d.value(c)
		}
		return members
	}
}
