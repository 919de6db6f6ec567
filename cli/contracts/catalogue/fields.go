package catalogue

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Field is a field of an event.
type Field struct {
	// Path is as in lines[].quantity.
	Path string `json:"path"`
	// Kind is the type in words: the name of a definition of the envelope's schema, else the schema's type.
	Kind        string `json:"type"`
	Required    bool   `json:"required"`
	Description string `json:"description,omitempty"`
}

// Definition is a kind of field that several events share.
type Definition struct{ Name, Description string }

// schema is what a page tells of a JSON Schema.
type schema struct {
	Description string                     `json:"description"`
	Type        any                        `json:"type"`
	Ref         string                     `json:"$ref"`
	Required    []string                   `json:"required"`
	Properties  map[string]json.RawMessage `json:"properties"`
	Items       *schema                    `json:"items"`
	Defs        map[string]schema          `json:"$defs"`
	Format      string                     `json:"format"`
	Enum        []string                   `json:"enum"`
	Minimum     *json.Number               `json:"minimum"`
	Above       *json.Number               `json:"exclusiveMinimum"`
}

func parse(text string) (s schema, err error) {
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("reading a schema: %w", err)
	}
	return s, nil
}

// Fields are the fields of a schema, required ones first; those of an object and of a list's objects follow it.
func Fields(text string) ([]Field, error) {
	s, err := parse(text)
	if err != nil {
		return nil, err
	}
	return s.fields("")
}

// Definitions are the definitions of the envelope's schema.
func Definitions(envelope string) ([]Definition, error) {
	s, err := parse(envelope)
	if err != nil {
		return nil, err
	}
	var all []Definition
	for _, name := range slices.Sorted(maps.Keys(s.Defs)) {
		all = append(all, Definition{name, s.Defs[name].Description})
	}
	return all, nil
}

func (s schema) fields(before string) ([]Field, error) {
	all := []Field{}
	optional := slices.DeleteFunc(slices.Sorted(maps.Keys(s.Properties)), func(name string) bool { return slices.Contains(s.Required, name) })
	for _, name := range slices.Concat(s.Required, optional) {
		p, err := parse(string(s.Properties[name]))
		if err != nil {
			return nil, err
		}
		all = append(all, Field{Path: before + name, Kind: p.kind(), Required: slices.Contains(s.Required, name), Description: p.Description})
		inner := map[string]schema{before + name + ".": {Required: p.Required, Properties: p.Properties}}
		if p.Items != nil {
			inner[before+name+"[]."] = *p.Items
		}
		for _, path := range slices.Sorted(maps.Keys(inner)) {
			fields, err := inner[path].fields(path)
			if err != nil {
				return nil, err
			}
			all = append(all, fields...)
		}
	}
	return all, nil
}

func (s schema) kind() string {
	kind := s.Format
	if t, is := s.Type.(string); is {
		kind = cmp.Or(kind, t)
	}
	if _, name, shared := strings.Cut(s.Ref, "#/$defs/"); shared {
		kind = name
	}
	switch {
	case s.Items != nil && len(s.Items.Properties) > 0:
		kind = "list of objects"
	case s.Items != nil:
		kind = "list of " + s.Items.kind()
	case len(s.Enum) > 0:
		kind = strings.Join(s.Enum, ", ")
	}
	if s.Minimum != nil {
		kind += " ≥ " + s.Minimum.String()
	}
	if s.Above != nil {
		kind += " > " + s.Above.String()
	}
	return cmp.Or(kind, "any")
}
