package contract

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// node is a JSON Schema's object.
type node map[string]any

// document is a parsed schema, or the error of its text.
type document struct {
	root any
	err  error
}

func parsed(text string) document {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return document{err: fmt.Errorf("it is no JSON: %w", err)}
	}
	return document{root: root}
}

// schemaPair are two schemas to compare, and the envelopes' schemas, which they refer to.
type schemaPair struct{ was, is, wasEnvelope, isEnvelope document }

// compareSchemas returns the changes from one schema to the other. of has what all of them share.
func compareSchemas(p schemaPair, of Change, path string) ([]Change, error) {
	if err := cmp.Or(p.was.err, p.is.err); err != nil {
		return nil, err
	}
	if p.wasEnvelope.root == nil {
		p.wasEnvelope, p.isEnvelope = p.was, p.is
	}
	c := comparison{
		was: resolver{own: p.was.root, envelope: p.wasEnvelope.root}, is: resolver{own: p.is.root, envelope: p.isEnvelope.root}, of: of,
	}
	c.compare(path, c.was.node(p.was.root), c.is.node(p.is.root))
	return c.changes, cmp.Or(c.was.err, c.is.err)
}

// resolver follows the references of a schema.
type resolver struct {
	own, envelope any
	annotated     bool // expanded keeps annotations
	err           error
	depth         int
}

// Inlined returns a schema as one without references and definitions, for readers that follow none. It may refer to the
// definitions of the envelope's schema.
func Inlined(text, envelope string) (map[string]any, error) {
	schema, of := parsed(text), parsed(envelope)
	if err := cmp.Or(schema.err, of.err); err != nil {
		return nil, err
	}
	r := resolver{own: schema.root, envelope: of.root, annotated: true}
	all, _ := r.expanded(schema.root, 0).(map[string]any)
	delete(all, "$defs")
	delete(all, "$schema")
	return all, r.err
}

// maxDepth bounds schemas that hold themselves.
const maxDepth = 64

// node returns the schema with its reference replaced by what it refers to. A boolean schema becomes an object.
func (r *resolver) node(schema any) node {
	switch s := schema.(type) {
	case bool:
		if s {
			return node{}
		}
		return node{"not": map[string]any{}}
	case map[string]any:
		ref, is := s["$ref"].(string)
		if !is {
			return s
		}
		merged := maps.Clone(r.follow(ref))
		if merged == nil {
			merged = node{}
		}
		for k, v := range s {
			if _, both := merged[k]; both && !annotations[k] && k != "$ref" {
				r.fail("a $ref to %s and %s beside it say both", ref, k)
			}
			if k != "$ref" {
				merged[k] = v
			}
		}
		return merged
	default:
		r.fail("a schema is %v", schema)
		return node{}
	}
}

// follow returns what a reference refers to: a definition of the same schema, or of the envelope's.
func (r *resolver) follow(ref string) node {
	if r.depth++; r.depth > maxDepth {
		r.fail("%s: schemas refer to one another more than %d deep", ref, maxDepth)
		return nil
	}
	defer func() { r.depth-- }()
	file, pointer, _ := strings.Cut(ref, "#")
	at := r.own
	if file == envelopeName+".json" {
		at = r.envelope
	} else if file != "" {
		r.fail("%s refers to an unknown schema", ref)
		return nil
	}
	for _, name := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		if name == "" {
			continue
		}
		of, _ := at.(map[string]any)
		var found bool
		if at, found = of[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]; !found {
			r.fail("%s refers to nothing", ref)
			return nil
		}
	}
	return r.node(at)
}

func (r *resolver) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// expanded returns a value of a keyword with all references inside it replaced.
func (r *resolver) expanded(value any, depth int) any {
	if depth > maxDepth {
		r.fail("schemas refer to one another more than %d deep", maxDepth)
		return nil
	}
	switch v := value.(type) {
	case map[string]any:
		if _, refers := v["$ref"].(string); refers {
			return r.expanded(map[string]any(r.node(v)), depth+1)
		}
		all := make(map[string]any, len(v))
		for k, inner := range v {
			if fields, are := inner.(map[string]any); are && k == "properties" { // a field may have an annotation's name
				of := make(map[string]any, len(fields))
				for name, field := range fields {
					of[name] = r.expanded(field, depth+1)
				}
				all[k] = of
			} else if r.annotated || !annotations[k] {
				all[k] = r.expanded(inner, depth+1)
			}
		}
		return all
	case []any:
		all := make([]any, len(v))
		for i, inner := range v {
			all[i] = r.expanded(inner, depth+1)
		}
		return all
	}
	return value
}

// annotations are keywords that refuse no value.
var annotations = map[string]bool{
	"$schema": true, "$id": true, "$comment": true, "$defs": true, "title": true, "description": true, "examples": true, "default": true,
	"deprecated": true, "readOnly": true, "writeOnly": true,
}

// comparison collects the changes from one schema to another.
type comparison struct {
	was, is resolver
	of      Change
	changes []Change
	depth   int
}

func (c *comparison) add(path, what string, breaking bool) {
	change := c.of
	change.Field, change.What, change.Breaking = path, what, breaking
	c.changes = append(c.changes, change)
}
