package event

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// trayWeighed has had four versions: 1.0 had kilograms, 1.1 added who weighed, 2.0 named the unit, 3.0 renamed a field.
type trayWeighed struct {
	TrayID string  `json:"trayId"`
	Weight Decimal `json:"weight" event:"positive"`
	Unit   string  `json:"unit"`
	By     string  `json:"by,omitempty" event:"name"`
}

func (trayWeighed) EventType() Type { return "TRAY_WEIGHED" }

func kilograms(more string) string {
	return `{"type":"object","required":["trayId","kg"],"properties":{
		"trayId":{"$ref":"envelope-1.0.json#/$defs/id"},"kg":{"$ref":"envelope-1.0.json#/$defs/decimal"}` + more + `}}`
}

var formerTrays = []Former{
	{Version: "1.0", Schema: kilograms("")},
	{Version: "1.1", Schema: kilograms(`,"by":{"$ref":"envelope-1.0.json#/$defs/name"}`), Upcast: func(p map[string]any) error {
		d, problem := parseDecimal(p["kg"].(json.Number).String())
		if problem != "" {
			return fmt.Errorf("kg: %s", problem)
		}
		p["grams"] = json.Number(d.Mul(NewDecimal(1000)).String())
		p["unit"] = "G"
		delete(p, "kg")
		return nil
	}},
	{Version: "2.0", Schema: `{"type":"object","required":["trayId","grams","unit"],"properties":{
		"trayId":{"$ref":"envelope-1.0.json#/$defs/id"},"grams":{"$ref":"envelope-1.0.json#/$defs/decimal"},
		"unit":{"$ref":"envelope-1.0.json#/$defs/id"},"by":{"$ref":"envelope-1.0.json#/$defs/name"}}}`,
		Upcast: func(p map[string]any) error {
			p["weight"] = p["grams"]
			delete(p, "grams")
			return nil
		}},
}

func init() {
	Register[trayWeighed](Definition{
		RoutingKey: "kitchen.tray_weighed", AggregateType: "TRAY", Version: "3.0", Outside: true, Former: formerTrays,
	})
}

const tray = `{"eventId":"5b7f1d8e-3a2b-5c4d-8e9f-0a1b2c3d4e5f","eventType":"TRAY_WEIGHED","aggregateType":"TRAY",
"aggregateId":"TRAY-1","tenantId":"acme","timestamp":"2026-02-09T12:00:00Z","version":"%s","payload":%s,"metadata":{"source":"scales","mood":1e3}}`

// Each former version is read as the current one, by Decode and from outside; the body stays what was published, and
// Upcast keeps unknown fields.
func TestFormerVersionsAreUpcast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ version, payload, weight string }{
		{"1.0", `{"trayId":"TRAY-1","kg":1.2505,"colour":{"deep":[0.1000,null]}}`, "1250.5"},
		{"1.1", `{"trayId":"TRAY-1","kg":0.001,"by":"Zoë <&>"}`, "1"},
		{"2.0", `{"trayId":"TRAY-1","grams":123456789012.345678,"unit":"G"}`, "123456789012.345678"},
		{"3.0", `{"trayId":"TRAY-1","weight":7,"unit":"G"}`, "7"},
	} {
		body := fmt.Sprintf(tray, c.version, c.payload)
		for name, read := range map[string]func([]byte) (Any, error){"Decode": Decode, "DecodeOutside": DecodeOutside} {
			a, err := read([]byte(body))
			if err != nil {
				t.Errorf("%s of %s: %v", name, c.version, err)
				continue
			}
			if p := a.Payload.(trayWeighed); p.Weight.String() != c.weight || p.Unit != "G" || a.Version != "3.0" || string(a.Body) != body {
				t.Errorf("%s of %s: %+v", name, c.version, a)
			}
		}
		if err := Validate([]byte(body)); err != nil {
			t.Error(err)
		}
		upcast, err := Upcast([]byte(body))
		if err != nil || (c.version == "3.0") != (string(upcast) == body) {
			t.Errorf("Upcast of %s: %s, %v", c.version, upcast, err)
		}
		for _, kept := range []string{`"mood":1e3`, `"deep":[0.1000,null]`, `Zoë <&>`} {
			if strings.Contains(body, kept) && !strings.Contains(string(upcast), kept) {
				t.Errorf("%s is not in %s", kept, upcast)
			}
		}
	}
}

// A minor version newer than the known ones is read as the newest known one of its major version.
func TestUnknownMinorVersionsAreUpcast(t *testing.T) {
	t.Parallel()
	for version, payload := range map[string]string{
		"1.7": `{"trayId":"TRAY-1","kg":2,"by":"Zoë","new":true}`, "2.3": `{"trayId":"TRAY-1","grams":2000,"unit":"G"}`, "3.4": `{"trayId":"TRAY-1","weight":2000,"unit":"G"}`,
	} {
		a, err := Decode(fmt.Appendf(nil, tray, version, payload))
		if err != nil || a.Payload.(trayWeighed).Weight.String() != "2000" {
			t.Errorf("%s: %+v, %v", version, a, err)
		}
	}
}

func TestBadFormerVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ version, payload, decode, outside string }{
		{"4.0", `{}`, `version: want 3.x of TRAY_WEIGHED, got "4.0"`, `version: no version "4.0" of TRAY_WEIGHED, want "3.0"`},
		{"1.0", `{"trayId":"T","kg":"2"}`, `payload: cannot be upcast from version 1.1 of TRAY_WEIGHED: the upcaster panicked: interface conversion: interface {} is string, not json.Number`,
			`payload.kg: want a number, got string "2"`},
		{"1.0", `{"trayId":"T","kg":-2}`, "", `payload.weight: want more than 0, got number -2000, after upcasting from version 1.0`},
		{"1.0", `7`, `payload: want an object`, `payload: want an object, got number 7`},
	} {
		body := fmt.Appendf(nil, tray, c.version, c.payload)
		_, err := Decode(body)
		if got := text(err); got != c.decode {
			t.Errorf("Decode of %s %s: %s", c.version, c.payload, got)
		}
		_, err = DecodeOutside(body)
		if got := text(err); got != c.outside {
			t.Errorf("DecodeOutside of %s %s: %s", c.version, c.payload, got)
		}
	}
	if _, err := Encode(Envelope{Version: "2.0"}, trayWeighed{}); text(err) != `version: no version "2.0" of TRAY_WEIGHED, want "3.0"` {
		t.Errorf("Encode makes a former version: %v", err)
	}
}

func TestDeclarationsOfFormerVersions(t *testing.T) {
	t.Parallel()
	up := func(map[string]any) error { return nil }
	for want, former := range map[string][]Former{
		"":                                  {{Version: "1.0", Schema: "{}"}, {Version: "1.9", Schema: "{}", Upcast: up}},
		`former Version of TRAY_WEIGHED is`: {{Version: "1", Schema: "{}", Upcast: up}},
		`1.10 does not come before 1.9`:     {{Version: "1.10", Schema: "{}"}, {Version: "1.9", Schema: "{}", Upcast: up}},
		`3.0 does not come before 3.0`:      {{Version: "3.0", Schema: "{}", Upcast: up}},
		`has no Schema`:                     {{Version: "1.0", Upcast: up}},
		`2.0 of TRAY_WEIGHED has no Upcast`: {{Version: "2.0", Schema: "{}"}},
	} {
		_, err := entryOf[trayWeighed](Definition{RoutingKey: "a.b", AggregateType: "TRAY", Version: "3.0", Former: former})
		if got := text(err); (want == "") != (err == nil) || !strings.Contains(got, want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

func TestProposals(t *testing.T) {
	t.Parallel()
	p, err := NewProposal("TRAY_WEIGHED", `{"type":"object","required":["colour"],"properties":{"weight":{"$ref":"envelope-1.0.json#/$defs/decimal","maximum":2}}}`)
	if err != nil {
		t.Fatal(err)
	}
	for payload, want := range map[string]string{
		`{"trayId":"T","kg":1}`: `payload.colour: missing`, `{"trayId":"T","kg":0.002,"colour":1}`: ``, `{"trayId":"T","kg":1,"colour":1}`: `payload.weight: maximum: got 1,000, want 2`,
	} {
		if got := text(p.Check(fmt.Appendf(nil, tray, "1.0", payload))); got != want {
			t.Errorf("%s: %s", payload, got)
		}
	}
	for _, bad := range []string{`{`, `{"type":"thing"}`, `{"$ref":"other.json"}`} {
		if _, err := NewProposal("TRAY_WEIGHED", bad); err == nil {
			t.Errorf("%s is a schema", bad)
		}
	}
	if _, err := NewProposal("NOTHING", "{}"); err == nil {
		t.Error("NOTHING is a type")
	}
}

// The document that Upcast is given is a copy: the event's own body and the pool of documents are untouched.
func TestUpcastDoesNotChangeTheBody(t *testing.T) {
	t.Parallel()
	body := fmt.Appendf(nil, tray, "1.0", `{"trayId":"TRAY-1","kg":2}`)
	before := string(body)
	first, err := Decode(body)
	again, errAgain := Decode(body)
	if err != nil || errAgain != nil || string(body) != before || !reflect.DeepEqual(first, again) {
		t.Errorf("%v %v %s", err, errAgain, body)
	}
}
