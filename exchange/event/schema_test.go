package event

import "testing"

// TestEverySchemaHasARule: a schema without a rule is checked by the library, which takes twenty times as long.
func TestEverySchemaHasARule(t *testing.T) {
	t.Parallel()
	set := known.Load().schemas()
	if set.envelope.fast == nil {
		t.Error("the envelope's schema has no rule")
	}
	for typ, versions := range set.payloads {
		for version, s := range versions {
			if s.fast == nil {
				t.Errorf("the schema of %s %s has no rule", typ, version)
			}
		}
	}
}

// TestRulesAcceptTheExamples: a rule that accepts nothing sends every event to the slow library.
func TestRulesAcceptTheExamples(t *testing.T) {
	t.Parallel()
	for _, typ := range Types() {
		d, ferr := parse(readExample(t, typ))
		if ferr != nil {
			t.Fatal(ferr)
		}
		set := known.Load().schemas()
		if !set.envelope.fast.accepts(d, 0) || !set.payloads[typ][known.Load().byType[typ].Version].fast.accepts(d, d.member(0, 1, "payload")) {
			t.Errorf("the rule does not accept the example of %s", typ)
		}
		d.release()
	}
}

// TestUnknownKeywordsGetNoRule: a schema with a keyword that rules lack is left to the library.
func TestUnknownKeywordsGetNoRule(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"pattern":"^a"}`, `{"maximum":0}`, `{"minimum":1}`, `{"exclusiveMinimum":-1}`, `{"multipleOf":2}`, `{"const":"a"}`, `{"not":{"const":1}}`,
		`{"not":{"const":0,"type":"string"}}`, `{"not":{"type":"string"}}`, `{"enum":[1]}`, `{"anyOf":[{}]}`, `{"allOf":[{}]}`, `{"format":"email"}`,
		`{"uniqueItems":true}`, `{"contains":{}}`, `{"prefixItems":[{}]}`, `{"additionalProperties":false}`, `{"patternProperties":{"a":{}}}`,
		`{"required":["a"]}`, `{"properties":{"a":{"pattern":"x"}}}`, `{"items":{"pattern":"x"}}`, `{"$ref":"#/$defs/a","$defs":{"a":{"pattern":"x"}}}`,
		`{"if":{},"then":{}}`, `{"minProperties":1}`, `{"dependentRequired":{"a":["b"]}}`, `{"unevaluatedProperties":false}`, `true`, `false`,
	} {
		set, err := compileSchemas(map[string]string{"T-1.0.json": text})
		if err != nil {
			t.Fatal(err)
		}
		if set.payloads["T"]["1.0"].fast != nil {
			t.Errorf("there is a rule of %s", text)
		}
	}
	if set, err := compileSchemas(map[string]string{"T-1.0.json": `{"title":"t","type":["string","null"],"minLength":1}`}); err != nil || set.payloads["T"]["1.0"].fast == nil {
		t.Errorf("there is no rule of a simple schema: %v", err)
	}
}

func TestBadSchemas(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{`, `{"type":"strnig"}`, `{"$ref":"elsewhere.json"}`, `{"$ref":"https://example.com/x.json"}`} {
		if _, err := compileSchemas(map[string]string{"T-1.0.json": text}); err == nil {
			t.Errorf("%s is a schema", text)
		}
	}
}
