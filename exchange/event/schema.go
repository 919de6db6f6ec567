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

// schemaFiles are the schemas that external systems build against: the envelope's, and the payload's of each built-in
// type and version. make generate writes them. Their $refs are file names, so that a copy of the folder works with any
// validator.
//
//go:embed schema/*.json
var schemaFiles embed.FS

// schema is a JSON Schema, compiled by the library.
type schema struct {
	full *jsonschema.Schema
	// fast accepts most of what the schema accepts, and nothing else; nil where the schema is not made from a struct.
	fast func(d *document, i int32) bool
}

// schemaSet is the envelope's schema, and the payloads' schemas by type and version.
type schemaSet struct {
	envelope *schema
	payloads map[Type]map[string]*schema
}

// envelopeFile is the file of the envelope's schema.
const envelopeFile = "envelope-1.0.json"

// schemaBase prefixes the file names while schemas are compiled. Nothing is fetched from it.
const schemaBase = "embedded:///schema/"

// schemaText returns the text of a schema file, and "" when there is no such file.
func schemaText(name string) string {
	text, err := schemaFiles.ReadFile("schema/" + name)
	if err != nil {
		return ""
	}
	return string(text)
}

// schemaTexts returns the texts of all schema files and of the entries' schemas, by file name.
func schemaTexts(entries []*entry) map[string]string {
	texts := make(map[string]string)
	files, err := schemaFiles.ReadDir("schema")
	if err != nil {
		panic(err) // The folder is embedded under this name.
	}
	for _, f := range files {
		texts[f.Name()] = schemaText(f.Name())
	}
	for _, e := range entries {
		e.addSchemas(texts)
	}
	return texts
}

// addSchemas adds the texts of the type's schemas, in its current and its former versions, by file name.
func (e *entry) addSchemas(texts map[string]string) {
	if e.Schema != "" {
		texts[e.schemaFile()] = e.Schema
	}
	for _, f := range e.Former {
		texts[string(e.Type)+"-"+f.Version+".json"] = f.Schema
	}
}

// compileSchemas compiles schemas, whose texts are by file name.
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
		s := &schema{full: full}
		if name == envelopeFile {
			s.fast, set.envelope = acceptsEnvelope, s
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

// newCompiler returns a compiler with these schemas and this package's formats. It loads no others.
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

// validate checks the document against the envelope's schema and the one of its type and version.
func (d *document) validate() *FieldError {
	all := known.Load().schemas()
	if err := all.envelope.check(d, 0); err != nil {
		return err
	}
	// The envelope's schema requires both, as strings.
	t := Type(d.nodes[d.member(0, 1, "eventType")].text)
	version := d.nodes[d.member(0, 1, "version")].text
	e, err := lookup(t)
	if err != nil {
		return err
	}
	s, ok := all.payloads[t][version]
	if !ok {
		return noVersion(version, e)
	}
	return s.check(d, d.member(0, 1, "payload"))
}

func noVersion(version string, e *entry) *FieldError {
	return &FieldError{Field: "version", Problem: fmt.Sprintf("no version %s of %s, want %q", quote(version), e.Type, e.Version)}
}

// check checks the value at index i against the schema.
func (s *schema) check(d *document, i int32) *FieldError {
	if s.fast != nil && s.fast(d, i) {
		return nil
	}
	err := s.full.Validate(d.value(i))
	if err == nil {
		return nil
	}
	return d.explain(i, err)
}

// value returns the value at index i in the schema library's form: numbers as their text, whose length and exponent the
// parser has bounded.
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
