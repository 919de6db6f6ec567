package contract

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

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
