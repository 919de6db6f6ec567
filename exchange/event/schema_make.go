package event

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// member is one member of a JSON object.
type member struct {
	name  string
	value any // string, int, []string or members
}

// members is a JSON object that keeps its order.
type members []member

// descriptions are the "description" texts of a schema, by "Struct" or "Struct.Field". They are doc comments, which
// only make generate reads: a schema that is made at run time has none.
type descriptions map[string]string

const dialect = "https://json-schema.org/draft/2020-12/schema"

// payloadSchema returns the JSON Schema of a payload.
func payloadSchema(t Type, version string, o *object, texts descriptions) string {
	s := members{{"$schema", dialect}, {"title", "Payload of " + string(t) + ", version " + version}}
	s = append(s, described(texts[o.of.Name()])...)
	return string(append(appendValue(nil, append(s, o.schema(envelopeFile, texts)...), ""), '\n'))
}

// schema returns the schema of an object. The definitions are in the file base.
func (o *object) schema(base string, texts descriptions) members {
	var required []string
	var properties members
	for i := range o.fields {
		f := &o.fields[i]
		if f.required {
			required = append(required, f.name)
		}
		s := append(f.schema(base, texts), described(texts[o.of.Name()+"."+f.goName])...)
		properties = append(properties, member{f.name, s})
	}
	s := members{{"type", "object"}}
	if required != nil {
		s = append(s, member{"required", required})
	}
	return append(s, member{"properties", properties})
}

// schema returns the schema of a field without its description.
func (f *field) schema(base string, texts descriptions) members {
	refer := func(definition string) members { return members{{"$ref", base + "#/$defs/" + definition}} }
	switch f.kind {
	case uuidField:
		return members{{"type", "string"}, {"format", "uuid"}}
	case timeField:
		return refer("timestamp")
	case dateField:
		return refer("date")
	case boolField:
		return members{{"type", "boolean"}}
	case integerField:
		return append(members{{"type", "integer"}}, f.sign.schema()...)
	case decimalField, optionalDecimalField:
		return append(refer("decimal"), f.sign.schema()...)
	case objectField:
		return f.object.schema(base, texts)
	case listField:
		s := members{{"type", "array"}}
		if f.nonempty {
			s = append(s, member{"minItems", 1})
		}
		return append(s, member{"items", f.item.schema(base, texts)})
	default:
		if f.enum != nil {
			return members{{"type", "string"}, {"enum", f.enum}}
		}
		return refer(f.text)
	}
}

func (s sign) schema() members {
	switch s {
	case positive:
		return members{{"exclusiveMinimum", 0}}
	case nonnegative:
		return members{{"minimum", 0}}
	case nonzero:
		return members{{"not", members{{"const", 0}}}}
	default:
		return nil
	}
}

// described returns a description as a member of a schema, and no member for an empty text.
func described(text string) members {
	if text == "" {
		return nil
	}
	return members{{"description", text}}
}

// appendValue appends a part of a schema: objects with properties or definitions over several lines, others on one.
func appendValue(b []byte, value any, indent string) []byte {
	switch v := value.(type) {
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = string(appendString(nil, s))
		}
		return append(b, "["+strings.Join(quoted, ", ")+"]"...)
	case members:
		return appendMembers(b, v, indent)
	default:
		return appendString(b, reflect.ValueOf(value).String())
	}
}

func appendMembers(b []byte, all members, indent string) []byte {
	begin, separate, end := "{", ", ", "}"
	if all.long() {
		begin, separate, end = "{\n  "+indent, ",\n  "+indent, "\n"+indent+"}"
	}
	b = append(b, begin...)
	for i, m := range all {
		if i > 0 {
			b = append(b, separate...)
		}
		b = append(appendString(b, m.name), ": "...)
		b = appendValue(b, m.value, indent+"  ")
	}
	return append(b, end...)
}

// long reports whether an object holds objects other than a condition or a short item schema.
func (all members) long() bool {
	return slices.ContainsFunc(all, func(m member) bool {
		inner, ok := m.value.(members)
		return ok && m.name != "not" && (m.name != "items" || inner.long())
	})
}
