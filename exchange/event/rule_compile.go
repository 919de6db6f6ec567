package event

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ruleOf returns the rule of a schema, or nil when the schema has a keyword that rules lack.
func ruleOf(s *jsonschema.Schema) *rule {
	if !usesOnly(s, "Types", "Ref", "Format", "Required", "Properties", "Items2020", "MinItems", "MaxItems",
		"MinLength", "MaxLength", "Enum", "Minimum", "ExclusiveMinimum", "Not") {
		return nil
	}
	r := &rule{
		minItems:  orElse(s.MinItems, 0),
		maxItems:  orElse(s.MaxItems, MaxBody),
		minLength: orElse(s.MinLength, 0),
		maxLength: orElse(s.MaxLength, MaxBody),
	}
	if r.takeType(s) && r.takeFormat(s) && r.takeEnum(s) && r.takeSigns(s) && r.takeInner(s) && r.takeProperties(s) {
		return r
	}
	return nil
}

// usesOnly reports whether a schema uses only these keywords and annotations.
func usesOnly(s *jsonschema.Schema, keywords ...string) bool {
	keywords = append(keywords, "DraftVersion", "Location", "Title", "Description", "Comment", "Examples")
	for i, v := range reflect.ValueOf(s).Elem().Fields() {
		if i.IsExported() && !v.IsZero() && !slices.Contains(keywords, i.Name) {
			return false
		}
	}
	return true
}

func orElse(n *int, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return *n
}

// kindsOf are the kinds of each type of JSON Schema.
var kindsOf = map[string]kindSet{
	"null":    1 << kindNull,
	"boolean": 1<<kindFalse | 1<<kindTrue,
	"integer": 1 << kindNumber,
	"number":  1 << kindNumber,
	"string":  1 << kindString,
	"array":   1 << kindArray,
	"object":  1 << kindObject,
}

func (r *rule) takeType(s *jsonschema.Schema) bool {
	if s.Types == nil || s.Types.IsEmpty() {
		r.kinds = ^kindSet(0)
		return true
	}
	for _, name := range s.Types.ToStrings() {
		if kindsOf[name] == 0 {
			return false
		}
		r.kinds |= kindsOf[name]
		r.whole = r.whole || name == "integer"
	}
	return true
}

func (r *rule) takeFormat(s *jsonschema.Schema) bool {
	if s.Format == nil {
		return true
	}
	f, ok := formats[s.Format.Name]
	r.format = &f
	return ok
}

func (r *rule) takeEnum(s *jsonschema.Schema) bool {
	if s.Enum == nil {
		return true
	}
	for _, v := range s.Enum.Values {
		text, ok := v.(string)
		if !ok {
			return false
		}
		r.enum = append(r.enum, text)
	}
	return true
}

// takeSigns takes bounds at zero only: they need a number's sign and no arithmetic.
func (r *rule) takeSigns(s *jsonschema.Schema) bool {
	r.signs = signSet{negative: true, zero: true, positive: true}
	if s.Minimum != nil {
		r.signs.negative = false
		if s.Minimum.Sign() != 0 {
			return false
		}
	}
	if s.ExclusiveMinimum != nil {
		r.signs.negative, r.signs.zero = false, false
		if s.ExclusiveMinimum.Sign() != 0 {
			return false
		}
	}
	if s.Not != nil {
		r.signs.zero = false
		return usesOnly(s.Not, "Const") && s.Not.Const != nil && fmt.Sprint(*s.Not.Const) == "0"
	}
	return true
}

func (r *rule) takeInner(s *jsonschema.Schema) bool {
	if s.Ref != nil {
		if r.ref = ruleOf(s.Ref); r.ref == nil {
			return false
		}
	}
	if items := s.Items2020; items != nil {
		if r.items = ruleOf(items); r.items == nil {
			return false
		}
	}
	return true
}

func (r *rule) takeProperties(s *jsonschema.Schema) bool {
	r.properties = make(map[string]property, len(s.Properties))
	for name, inner := range s.Properties {
		p := property{rule: ruleOf(inner)}
		if p.rule == nil {
			return false
		}
		r.properties[name] = p
	}
	for _, name := range s.Required {
		p, ok := r.properties[name]
		if !ok || p.required {
			return false
		}
		p.required = true
		r.properties[name] = p
		r.required++
	}
	return true
}
