package contract

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
)

// changesOf compares two schemas of a payload.
func changesOf(t *testing.T, was, is string) []Change {
	t.Helper()
	envelope := parsed(event.EnvelopeSchema())
	changes, err := compareSchemas(schemaPair{parsed(was), parsed(is), envelope, envelope}, Change{}, "payload")
	if err != nil {
		t.Fatalf("%s and %s: %v", was, is, err)
	}
	return changes
}

// Each change of a schema, and the same change backwards: + is compatible, ! is refused.
func TestEveryKeyword(t *testing.T) {
	t.Parallel()
	const a = `{"type":"object","required":["a"],"properties":{"a":%s}}`
	for _, c := range []struct{ was, is, forth, back string }{
		{`"type":"string"`, `"type":"string"`, ``, ``},
		{`"type":"string","description":"x"`, `"type":"string","title":"y","examples":[1]`, ``, ``},
		{`"type":"integer"`, `"type":"number"`, `!a is number, it was integer`, `!a is integer, it was number`},
		{`"type":"string"`, `"type":["null","string"]`, `!a is null or string, it was string`, `!a is string, it was null or string`},
		{`"type":"string"`, `"$ref":"envelope-1.0.json#/$defs/date"`, `!a has the format date, it was none`, `!a has the format none, it was date`},
		{`"minimum":1`, `"minimum":2`, `!a has the minimum 2, it was 1`, `+a has the minimum 1, it was 2`},
		{`"minimum":0`, `"exclusiveMinimum":0`, `!a has the minimum 0, exclusive, it was 0`, `+a has the minimum 0, it was 0, exclusive`},
		{`"type":"number"`, `"type":"number","exclusiveMinimum":0`, `!a has the minimum 0, exclusive, it was none`, `+a has the minimum none, it was 0, exclusive`},
		{`"maximum":10.0`, `"maximum":1e1`, ``, ``},
		{`"maximum":10`, `"exclusiveMaximum":10`, `!a has the maximum 10, exclusive, it was 10`, `+a has the maximum 10, it was 10, exclusive`},
		{`"maxLength":64`, `"maxLength":32`, `!a has the maxLength 32, it was 64`, `+a has the maxLength 64, it was 32`},
		{`"minLength":0`, `"minLength":1`, `!a has the minLength 1, it was 0`, `+a has the minLength 0, it was 1`},
		{`"maxItems":4`, `"maxItems":3`, `!a has the maxItems 3, it was 4`, `+a has the maxItems 4, it was 3`},
		{`"minItems":0`, `"minItems":1`, `!a has the minItems 1, it was 0`, `+a has the minItems 0, it was 1`},
		{`"enum":["A","B"]`, `"enum":["B","A","C"]`, `+a takes C too: consumers that list the values must know them`, `!a no longer takes C`},
		{`"type":"string"`, `"type":"string","enum":["A"]`, `!a is limited to A`, `!a takes any value now, it was one of A`},
		{`"const":1`, `"const":2`, `!a has the const 2, it was 1`, `!a has the const 1, it was 2`},
		{`"type":"string"`, `"type":"string","pattern":"^A"`, `!a has the pattern ^A, it was none`, `+a has no pattern any more, it was ^A`},
		{`"multipleOf":1`, `"multipleOf":2`, `!a has the multipleOf 2, it was 1`, `!a has the multipleOf 1, it was 2`},
		{`"type":"number"`, `"type":"number","not":{"const":0}`, `!a has the not {"const":0}, it was none`, `+a has no not any more, it was {"const":0}`},
		{`"uniqueItems":false`, `"uniqueItems":true`, `!a has uniqueItems true, it was false`, `+a has uniqueItems false, it was true`},
		{`"type":"object"`, `"type":"object","additionalProperties":false`, `!a has additionalProperties false, it was true`, `+a has additionalProperties true, it was false`},
		{`"properties":{"b":{"type":"string"}}`, `"properties":{"b":{"type":"string"},"c":{}}`, `+a.c is a new field`, `!a.c is gone`},
		{`"properties":{"b":{}}`, `"properties":{"b":{},"c":{}},"required":["c"]`, `!a.c is a new field, and required: events that exist lack it`, `!a.c is gone`},
		{`"properties":{"b":{}}`, `"properties":{"b":{}},"required":["b"]`, `!a.b is required now: events that exist may lack it`, `!a.b is no longer required: consumers rely on it`},
		{`"items":{"properties":{"b":{"type":"string"}}}`, `"items":{"properties":{"b":{"type":"boolean"}}}`, `!a[].b is boolean, it was string`, `!a[].b is string, it was boolean`},
		{`"type":"array"`, `"type":"array","items":{"type":"string"}`, `!a limits its items now`, `!a has items of any kind now`},
		{`"anyOf":[{"type":"string"},{"$ref":"envelope-1.0.json#/$defs/id"}]`, `"anyOf":[{"type":"string"},{"$ref":"envelope-1.0.json#/$defs/name"}]`,
			`!a has another anyOf, a keyword that the comparison does not know`, `!a has another anyOf, a keyword that the comparison does not know`},
		{`"anyOf":[{"type":"string"}]`, `"anyOf":[{"type":"string","description":"the same"}]`, ``, ``},
	} {
		was, is := fmt.Sprintf(a, "{"+c.was+"}"), fmt.Sprintf(a, "{"+c.is+"}")
		for _, way := range []struct{ was, is, want string }{{was, is, c.forth}, {is, was, c.back}} {
			var got []string
			for _, change := range changesOf(t, way.was, way.is) {
				got = append(got, map[bool]string{true: "!", false: "+"}[change.Breaking]+strings.TrimPrefix(change.Field, "payload.")+" "+change.What)
			}
			if text := strings.Join(got, "; "); text != way.want {
				t.Errorf("%s to %s:\n%s\nwant\n%s", way.was, way.is, text, way.want)
			}
		}
	}
}

func TestSchemasThatCannotBeCompared(t *testing.T) {
	t.Parallel()
	envelope := parsed(event.EnvelopeSchema())
	for text, want := range map[string]string{
		`{`:                                    "no JSON",
		`7`:                                    "a schema is 7",
		`{"$ref":"#/$defs/me"}`:                "refers to nothing",
		`{"$ref":"x.json"}`:                    "unknown schema",
		`{"$ref":"#"}`:                         "more than 64 deep",
		`{"properties":{"a":{"$ref":"#"}}}`:    "more than 64 deep",
		`{"properties":{"a":{"minimum":"x"}}}`: "no number",
		`{"properties":{"a":{"$ref":"envelope-1.0.json#/$defs/id","maxLength":3}}}`:          "say both",
		`{"properties":{"a":{"anyOf":[{"$ref":"envelope-1.0.json#/$defs/no-such-thing"}]}}}`: "refers to nothing",
	} {
		_, err := compareSchemas(schemaPair{parsed(text), parsed(text), envelope, envelope}, Change{}, "payload")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// set is a published set of one type.
func set(c Contract, schemas map[string]string) Set {
	s := Set{Envelope: event.EnvelopeSchema(), Types: []Contract{c}, Schemas: map[string]string{}}
	for v, schema := range schemas {
		s.Schemas[Name(c.Type, v)] = schema
	}
	return s
}

func TestTypesAndVersions(t *testing.T) {
	t.Parallel()
	was := Contract{Type: "T", Versions: []string{"1.0"}, RoutingKey: "a.b", AggregateType: "A", Outside: true}
	field := map[string]string{"1.0": `{"properties":{"a":{}}}`}
	for name, c := range map[string]struct {
		now  Set
		want []string
	}{
		"the same":      {set(was, field), nil},
		"gone":          {Set{Envelope: event.EnvelopeSchema()}, []string{"!T  is gone: its events in the log and in queues cannot be read"}},
		"another key":   {set(Contract{"T", []string{"1.0"}, "a.c", "A", true}, field), []string{"!T  has the routing key a.c, it was a.b: other programs' bindings get nothing"}},
		"aggregate":     {set(Contract{"T", []string{"1.0"}, "a.b", "B", true}, field), []string{"!T  has the aggregate type B, it was A"}},
		"inside":        {set(Contract{"T", []string{"1.0"}, "a.b", "A", false}, field), []string{"!T  may no longer be published by external publishers"}},
		"version gone":  {set(Contract{"T", []string{"2.0"}, "a.b", "A", true}, map[string]string{"2.0": `{}`}), []string{"!T 1.0 is no longer read: its events in the log, in queues and of external publishers are refused; keep its schema, and add an upcaster", "+T 2.0 is a new major version; events of the versions before are upcast"}},
		"major version": {set(Contract{"T", []string{"1.0", "2.0"}, "a.b", "A", true}, map[string]string{"1.0": field["1.0"], "2.0": `{"required":["z"]}`}), []string{"+T 2.0 is a new major version; events of the versions before are upcast"}},
		"minor version": {set(Contract{"T", []string{"1.0", "1.1"}, "a.b", "A", true}, map[string]string{"1.0": field["1.0"], "1.1": `{"properties":{"b":{}}}`}), []string{"+T 1.1 is a new minor version after 1.0", "!T 1.1 is gone", "+T 1.1 is a new field"}},
		"former schema": {set(Contract{"T", []string{"1.0", "2.0"}, "a.b", "A", true}, map[string]string{"1.0": `{}`, "2.0": `{}`}), []string{"!T 1.0 is gone", "+T 2.0 is a new major version; events of the versions before are upcast"}},
	} {
		changes, err := Compare(set(was, field), c.now)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, change := range changes {
			if change.What != "has no golden event" {
				got = append(got, fmt.Sprintf("%s%s %s %s", map[bool]string{true: "!", false: "+"}[change.Breaking], change.Type, change.Version, change.What))
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// A change of the envelope is one of every type.
func TestTheEnvelopeIsComparedToo(t *testing.T) {
	t.Parallel()
	now := Set{Envelope: strings.Replace(event.EnvelopeSchema(), `"maxLength": 64`, `"maxLength": 60`, 1)}
	changes, err := Compare(Set{Envelope: event.EnvelopeSchema()}, now)
	if err != nil || !IsBreaking(changes) || changes[0].Field != "aggregateId" {
		t.Errorf("%+v, %v", changes, err)
	}
}
