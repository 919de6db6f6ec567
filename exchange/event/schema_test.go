package event

import "testing"

// TestEveryStructIsAskedFirst: a schema without its struct is checked by the library, which takes thirty times as long.
func TestEveryStructIsAskedFirst(t *testing.T) {
	t.Parallel()
	set := known.Load().schemas()
	if set.envelope.fast == nil {
		t.Error("the envelope's schema has no struct")
	}
	for typ, versions := range set.payloads {
		if s := versions[known.Load().byType[typ].Version]; s.fast == nil {
			t.Errorf("the schema of %s has no struct", typ)
		}
	}
}

// TestStructsAcceptTheExamples: a struct that accepts nothing sends every event to the slow library.
func TestStructsAcceptTheExamples(t *testing.T) {
	t.Parallel()
	for _, typ := range Types() {
		d, ferr := parse(readExample(t, typ))
		if ferr != nil {
			t.Fatal(ferr)
		}
		set := known.Load().schemas()
		if !set.envelope.fast(d, 0) || !set.payloads[typ][known.Load().byType[typ].Version].fast(d, d.member(0, 1, "payload")) {
			t.Errorf("the struct does not accept the example of %s", typ)
		}
		d.release()
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
