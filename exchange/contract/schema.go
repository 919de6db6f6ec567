package contract

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
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

// keywords are those that compare knows, each with its own way to compare.
var keywords map[string]func(c *comparison, path string, was, is node)

func init() {
	keywords = map[string]func(c *comparison, path string, was, is node){
		"type":       (*comparison).types,
		"properties": (*comparison).properties,
		"required":   required,
		"items":      (*comparison).items,
		"enum":       (*comparison).enum,
		"const":      exact("const"),
		"format":     exact("format"),
		"minimum":    func(c *comparison, path string, was, is node) { c.bound(path, "minimum", lower, was, is) },
		"maximum":    func(c *comparison, path string, was, is node) { c.bound(path, "maximum", upper, was, is) },
		"exclusiveMinimum": func(c *comparison, path string, was, is node) {
			if was["minimum"] == nil && is["minimum"] == nil { // else minimum has compared both
				c.bound(path, "minimum", lower, was, is)
			}
		},
		"exclusiveMaximum": func(c *comparison, path string, was, is node) {
			if was["maximum"] == nil && is["maximum"] == nil {
				c.bound(path, "maximum", upper, was, is)
			}
		},
		"minLength":            least("minLength"),
		"minItems":             least("minItems"),
		"minProperties":        least("minProperties"),
		"maxLength":            most("maxLength"),
		"maxItems":             most("maxItems"),
		"maxProperties":        most("maxProperties"),
		"pattern":              narrowing("pattern"),
		"multipleOf":           narrowing("multipleOf"),
		"not":                  narrowing("not"),
		"uniqueItems":          unless("uniqueItems", false),
		"additionalProperties": unless("additionalProperties", true),
	}
}

// compare compares the schemas of one value.
func (c *comparison) compare(path string, was, is node) {
	if c.depth++; c.depth > maxDepth {
		c.is.fail("schemas are nested more than %d deep", maxDepth)
		return
	}
	defer func() { c.depth-- }()
	seen := maps.Clone(was)
	maps.Copy(seen, is)
	for _, k := range slices.Sorted(maps.Keys(seen)) {
		if annotations[k] || k == "$ref" {
			continue
		}
		if known := keywords[k]; known != nil {
			known(c, path, was, is)
		} else if !reflect.DeepEqual(c.was.expanded(was[k], 0), c.is.expanded(is[k], 0)) {
			c.add(path, fmt.Sprintf("has another %s, a keyword that the comparison does not know", k), true)
		}
	}
}

// types: another type is refused either way, since a consumer reads the published ones and no others.
func (c *comparison) types(path string, was, is node) {
	before, now := texts(was["type"]), texts(is["type"])
	if slices.Equal(before, now) {
		return
	}
	name := func(types []string) string { return cmp.Or(strings.Join(types, " or "), "of any type") }
	c.add(path, fmt.Sprintf("is %s, it was %s", name(now), name(before)), true)
}

// texts returns a keyword's text or texts, in order.
func texts(value any) []string {
	if one, is := value.(string); is {
		return []string{one}
	}
	list, _ := value.([]any)
	all := make([]string, 0, len(list))
	for _, v := range list {
		all = append(all, textOf(v))
	}
	slices.Sort(all)
	return all
}

func textOf(value any) string {
	if s, is := value.(string); is {
		return s
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}

func (c *comparison) properties(path string, was, is node) {
	before, _ := was["properties"].(map[string]any)
	now, _ := is["properties"].(map[string]any)
	for _, name := range names(before, now) {
		at := join(path, name)
		switch {
		case now[name] == nil:
			c.add(at, "is gone", true)
		case before[name] != nil:
			c.compare(at, c.was.node(before[name]), c.is.node(now[name]))
		case !slices.Contains(texts(is["required"]), name):
			c.add(at, "is a new field", false)
		}
	}
}

// required compares what must be there. A field that is gone is told of by its property.
func required(c *comparison, path string, was, is node) {
	before, now := texts(was["required"]), texts(is["required"])
	known, _ := was["properties"].(map[string]any)
	kept, _ := is["properties"].(map[string]any)
	for _, name := range without(now, before) {
		if known[name] == nil {
			c.add(join(path, name), "is a new field, and required: events that exist lack it", true)
		} else {
			c.add(join(path, name), "is required now: events that exist may lack it", true)
		}
	}
	for _, name := range without(before, now) {
		if known[name] == nil || kept[name] != nil {
			c.add(join(path, name), "is no longer required: consumers rely on it", true)
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// names are the keys of both maps, in order.
func names(a, b map[string]any) []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(all)
	return slices.Compact(all)
}

func (c *comparison) items(path string, was, is node) {
	switch {
	case was["items"] == nil:
		c.add(path, "limits its items now", true)
	case is["items"] == nil:
		c.add(path, "has items of any kind now", true)
	default:
		c.compare(path+"[]", c.was.node(was["items"]), c.is.node(is["items"]))
	}
}

func (c *comparison) enum(path string, was, is node) {
	before, now := texts(was["enum"]), texts(is["enum"])
	switch {
	case was["enum"] == nil:
		c.add(path, "is limited to "+strings.Join(now, ", "), true)
	case is["enum"] == nil:
		c.add(path, "takes any value now, it was one of "+strings.Join(before, ", "), true)
	default:
		if gone := without(before, now); len(gone) > 0 {
			c.add(path, "no longer takes "+strings.Join(gone, ", "), true)
		}
		if more := without(now, before); len(more) > 0 {
			c.add(path, "takes "+strings.Join(more, ", ")+" too: consumers that list the values must know them", false)
		}
	}
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// exact refuses every change of a keyword: a consumer relies on it as a publisher does.
func exact(keyword string) func(*comparison, string, node, node) {
	return func(c *comparison, path string, was, is node) {
		if before, now := was[keyword], is[keyword]; !reflect.DeepEqual(before, now) {
			c.add(path, fmt.Sprintf("has the %s %s, it was %s", keyword, orNone(now), orNone(before)), true)
		}
	}
}

func orNone(value any) string {
	if value == nil {
		return "none"
	}
	return textOf(value)
}

// narrowing is a keyword that only refuses values: without it all are taken.
func narrowing(keyword string) func(*comparison, string, node, node) {
	return func(c *comparison, path string, was, is node) {
		before, now := c.was.expanded(was[keyword], 0), c.is.expanded(is[keyword], 0)
		switch {
		case reflect.DeepEqual(before, now):
		case now == nil:
			c.add(path, fmt.Sprintf("has no %s any more, it was %s", keyword, textOf(before)), false)
		default:
			c.add(path, fmt.Sprintf("has the %s %s, it was %s", keyword, textOf(now), orNone(before)), true)
		}
	}
}

// unless is a keyword that takes all values when it is absent or has the open value.
func unless(keyword string, open any) func(*comparison, string, node, node) {
	return func(c *comparison, path string, was, is node) {
		before, now := c.was.expanded(was[keyword], 0), c.is.expanded(is[keyword], 0)
		if before == nil {
			before = open
		}
		if now == nil {
			now = open
		}
		if !reflect.DeepEqual(before, now) {
			c.add(path, fmt.Sprintf("has %s %s, it was %s", keyword, textOf(now), textOf(before)), now != open)
		}
	}
}

func least(keyword string) func(*comparison, string, node, node) {
	return func(c *comparison, path string, was, is node) { c.bound(path, keyword, one(keyword, 1), was, is) }
}

func most(keyword string) func(*comparison, string, node, node) {
	return func(c *comparison, path string, was, is node) { c.bound(path, keyword, one(keyword, -1), was, is) }
}

// limit is a bound of a value, nil where there is none. Upper bounds are negated, so that a greater one is narrower.
type limit struct {
	at        *big.Rat
	exclusive bool
	text      string
}

// one is the bound of a keyword of its own.
func one(keyword string, sign int64) func(node) (*limit, error) {
	return func(n node) (*limit, error) { return limitOf(n, keyword, sign, false) }
}

func limitOf(n node, keyword string, sign int64, exclusive bool) (*limit, error) {
	if n[keyword] == nil {
		return nil, nil //nolint:nilnil // there is no bound
	}
	at, ok := new(big.Rat).SetString(textOf(n[keyword]))
	if !ok {
		return nil, fmt.Errorf("%s is %s, no number", keyword, textOf(n[keyword]))
	}
	text := textOf(n[keyword])
	if exclusive {
		text += ", exclusive"
	}
	return &limit{at.Mul(at, big.NewRat(sign, 1)), exclusive, text}, nil
}

// lower and upper are the bounds of numbers, the narrower of two.
func lower(n node) (*limit, error) { return narrower(n, "minimum", "exclusiveMinimum", 1) }
func upper(n node) (*limit, error) { return narrower(n, "maximum", "exclusiveMaximum", -1) }

func narrower(n node, inclusive, exclusive string, sign int64) (*limit, error) {
	a, errA := limitOf(n, inclusive, sign, false)
	b, errB := limitOf(n, exclusive, sign, true)
	if compareLimits(b, a) > 0 {
		a = b
	}
	return a, errors.Join(errA, errB)
}

// compareLimits is positive where a is narrower than b.
func compareLimits(a, b *limit) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	inclusive := map[bool]int{true: 1}
	return cmp.Or(a.at.Cmp(b.at), inclusive[a.exclusive]-inclusive[b.exclusive])
}

func (c *comparison) bound(path, keyword string, of func(node) (*limit, error), was, is node) {
	before, errBefore := of(was)
	now, errNow := of(is)
	if err := cmp.Or(errBefore, errNow); err != nil {
		c.is.fail("%s: %v", path, err)
		return
	}
	name := func(l *limit) string {
		if l == nil {
			return "none"
		}
		return l.text
	}
	if order := compareLimits(now, before); order != 0 {
		c.add(path, fmt.Sprintf("has the %s %s, it was %s", keyword, name(now), name(before)), order > 0)
	}
}
