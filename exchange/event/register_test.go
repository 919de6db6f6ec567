package event

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// shelfInspected has a field of every type, and most words of the event tag. The tests of all types include it.
type shelfInspected struct {
	InspectionID uuid.UUID   `json:"inspectionId"`
	Inspector    string      `json:"inspector" event:"name"`
	Finding      finding     `json:"finding"`
	Tidy         bool        `json:"tidy"`
	Photos       int64       `json:"photos,omitempty" event:"nonnegative"`
	Distance     Decimal     `json:"distance,omitzero" event:"nonzero"`
	Cost         *Decimal    `json:"cost,omitempty" event:"positive"`
	At           time.Time   `json:"at"`
	Again        time.Time   `json:"again,omitzero"`
	Day          Date        `json:"day,omitempty"`
	Shelf        shelf       `json:"shelf"`
	Neighbour    shelf       `json:"neighbour,omitzero"`
	Notes        []string    `json:"notes,omitempty" event:"note,nonempty"`
	Findings     []finding   `json:"findings"`
	Related      []uuid.UUID `json:"related,omitempty"`
	Gaps         []shelf     `json:"gaps,omitempty"`
	Prices       []Decimal   `json:"prices,omitempty" event:"nonnegative"`
	Days         []Date      `json:"days,omitempty"`
	Lit          []bool      `json:"lit,omitempty"`
}

type shelf struct {
	Aisle   int64     `json:"aisle"`
	Checked time.Time `json:"checked"`
}

type finding string

func (finding) Values() []string { return []string{"FULL", "EMPTY"} }

func (shelfInspected) EventType() Type { return "SHELF_INSPECTED" }

func init() {
	Register[shelfInspected](Definition{RoutingKey: "store-ops.shelf_inspected", AggregateType: "SHELF", Version: "2.1"})
}

// TestRegisteredTypeIsChecked checks the field types and words of the tag that no built-in type has.
func TestRegisteredTypeIsChecked(t *testing.T) {
	t.Parallel()
	body := string(readExample(t, "SHELF_INSPECTED"))
	for _, c := range []struct{ old, new, decode, validate string }{
		{`"tidy": true`, `"tidy": 1`, `payload.tidy: want true or false, got number 1`, `payload.tidy: want true or false, got number 1`},
		{`"tidy": true`, `"tidy": false`, ``, ``},
		{`"finding": "EMPTY"`, `"finding": "DIRTY"`, ``, `payload.finding: want one of FULL, EMPTY, got string "DIRTY"`},
		{`"FULL"`, `"DIRTY"`, ``, `payload.findings[0]: want one of FULL, EMPTY, got string "DIRTY"`},
		{`"FULL"`, `7`, `payload.findings[0]: want a string, got number 7`, `payload.findings[0]: want a string, got number 7`},
		{`"photos": 2`, `"photos": -2`, ``, `payload.photos: want at least 0, got number -2`},
		{`"cost": 1.5`, `"cost": 0`, ``, `payload.cost: want more than 0, got number 0`},
		{`"distance": -3.25`, `"distance": 0`, ``, `payload.distance: want a number other than zero, got number 0`},
		{`"notes": [`, `"notes": [], "x": [`, ``, `payload.notes: want at least 1 items, got 0`},
		{`"aisle": 8`, `"aisle": 8.5`, `payload.gaps[1].aisle: want a whole number, got number 8.5`, `payload.gaps[1].aisle: want a whole number, got number 8.5`},
		{`"again": "2026-02-10T08:00:00Z"`, `"again": "later"`, `payload.again: want an RFC 3339 time such as 2026-02-09T12:00:00Z, got string "later"`, `payload.again: want an RFC 3339 time such as 2026-02-09T12:00:00Z, got string "later"`},
	} {
		spoilt := []byte(strings.Replace(body, c.old, c.new, 1))
		if string(spoilt) == body {
			t.Fatalf("%s is not in the example", c.old)
		}
		_, err := Decode(spoilt)
		if got := text(err); got != c.decode {
			t.Errorf("Decode of %s: %s", c.new, got)
		}
		if got := text(Validate(spoilt)); got != c.validate {
			t.Errorf("Validate of %s: %s", c.new, got)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestEncodeLeavesThePayloadAlone: a time is set to UTC in the event's copy, not in the caller's list.
func TestEncodeLeavesThePayloadAlone(t *testing.T) {
	t.Parallel()
	a, err := Decode(readExample(t, "SHELF_INSPECTED"))
	if err != nil {
		t.Fatal(err)
	}
	p := a.Payload.(shelfInspected)
	local := p.Gaps[0].Checked.In(time.FixedZone("", 3600))
	p.Gaps[0].Checked = local
	made, err := Encode(a.Envelope, &p)
	if err != nil || p.Gaps[0].Checked != local {
		t.Errorf("the caller's time is %s now, %v", p.Gaps[0].Checked, err)
	}
	if got := made.Payload.(shelfInspected).Gaps[0].Checked; got != local.UTC() {
		t.Errorf("the event's time is %s", got)
	}
}

// TestEmptyOptionalList: an empty list is the same as an absent one, to Encode and to Decode.
func TestEmptyOptionalList(t *testing.T) {
	t.Parallel()
	body := strings.Replace(string(readExample(t, "SHELF_INSPECTED")), `"days": [
      "2026-02-09"
    ]`, `"days": []`, 1)
	a, err := Decode([]byte(body))
	if err != nil || !strings.Contains(body, `"days": []`) {
		t.Fatal(err)
	}
	p := a.Payload.(shelfInspected)
	if p.Days != nil {
		t.Errorf("the empty list is read as %#v", p.Days)
	}
	p.Days = []Date{}
	made, err := Encode(a.Envelope, p)
	if err != nil || strings.Contains(string(made.Body), "days") || !reflect.DeepEqual(made.Payload, a.Payload) {
		t.Errorf("read\n%+v\nmade\n%+v, %v", a.Payload, made.Payload, err)
	}
}

// The types below have a wrong declaration each, except fine.
type (
	wrongName struct{ A string }
	wrongCase struct {
		A string `json:"A"`
	}
	wrongType struct {
		A float64 `json:"a"`
	}
	wrongHidden struct {
		A big.Int `json:"a"`
	}
	wrongPointer struct {
		A *Decimal `json:"a"`
	}
	wrongOmit struct {
		A time.Time `json:"a,omitempty"`
	}
	wrongOption struct {
		A string `json:"a,string"`
	}
	wrongWord struct {
		A string `json:"a" event:"positive"`
	}
	wrongItself struct {
		A []wrongItself `json:"a"`
	}
	wrongInner struct {
		A []wrongName `json:"a"`
	}
	fine struct {
		A string `json:"a"`
	}
	notStruct string
	lowerCase struct{}
)

func (wrongName) EventType() Type    { return "WRONG" }
func (wrongCase) EventType() Type    { return "WRONG" }
func (wrongType) EventType() Type    { return "WRONG" }
func (wrongHidden) EventType() Type  { return "WRONG" }
func (wrongPointer) EventType() Type { return "WRONG" }
func (wrongOmit) EventType() Type    { return "WRONG" }
func (wrongOption) EventType() Type  { return "WRONG" }
func (wrongWord) EventType() Type    { return "WRONG" }
func (wrongItself) EventType() Type  { return "WRONG" }
func (wrongInner) EventType() Type   { return "WRONG" }
func (fine) EventType() Type         { return "FINE" }
func (notStruct) EventType() Type    { return "WRONG" }
func (lowerCase) EventType() Type    { return "fine" }

// TestRegisterRefuses pins the errors of wrong declarations, and that they leave the catalogue as it was.
func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	good := Definition{RoutingKey: "a.b", AggregateType: "A", Version: "1.0"}
	with := func(change func(*Definition)) Definition {
		d := good
		change(&d)
		return d
	}
	schema := func(s string) Definition { return with(func(d *Definition) { d.Schema = s }) }
	for _, c := range []struct {
		register func(Definition)
		d        Definition
		want     string
	}{
		{Register[wrongName], good, `the payload event.wrongName: field A of event.wrongName: want a json tag with a name such as itemId, got ""`},
		{Register[wrongCase], good, `field A of event.wrongCase: want a json tag with a name such as itemId, got "A"`},
		{Register[wrongType], good, `field A of event.wrongType: a float64 cannot be a field of an event; there are string, bool, int64,`},
		{Register[wrongHidden], good, `field A of event.wrongHidden: field neg of big.Int: want an exported field with a name`},
		{Register[wrongPointer], good, `field A of event.wrongPointer: want omitempty: a nil pointer cannot be written`},
		{Register[wrongOmit], good, `field A of event.wrongOmit: want omitzero in the json tag: omitempty does nothing here`},
		{Register[wrongOption], good, `field A of event.wrongOption: the json tag's "string" does not suit this field`},
		{Register[wrongWord], good, `field A of event.wrongWord: the event tag's "positive" does not suit a string`},
		{Register[wrongItself], good, `event.wrongItself holds itself`},
		{Register[wrongInner], good, `field A of event.wrongInner: field A of event.wrongName: want a json tag`},
		{Register[*fine], good, `*event.fine is not a struct`},
		{Register[notStruct], good, `event.notStruct is not a struct`},
		{Register[lowerCase], good, `EventType is "fine", want capital letters, digits and _, such as SALE_COMPLETED`},
		{Register[fine], with(func(d *Definition) { d.Type = "OTHER" }), `the definition is of OTHER, the payload's EventType FINE`},
		{Register[fine], with(func(d *Definition) { d.RoutingKey = "" }), `the RoutingKey of FINE is "", want small words`},
		{Register[fine], with(func(d *Definition) { d.RoutingKey = "a.*" }), `the RoutingKey of FINE is "a.*", want small words`},
		{Register[fine], with(func(d *Definition) { d.RoutingKey = strings.Repeat("a", 256) }), `the RoutingKey of FINE is "aaa`},
		{Register[fine], with(func(d *Definition) { d.AggregateType = "" }), `the AggregateType of FINE is "", want 1 to 64 bytes`},
		{Register[fine], with(func(d *Definition) { d.Version = "1" }), `the Version of FINE is "1", want major.minor`},
		{Register[fine], with(func(d *Definition) { d.RoutingKey = "inventory.updated" }), `the routing key inventory.updated of FINE is that of INVENTORY_UPDATED already`},
		{Register[SaleCompleted], good, `the payload event.SaleCompleted: SALE_COMPLETED is registered already, with the payload event.SaleCompleted`},
		{Register[fine], schema(`{`), `the schema of FINE: reading schema FINE-1.0.json: `},
		{Register[fine], schema(`{"type":"strnig"}`), `the schema of FINE: `},
		{Register[fine], schema(`{"properties":{"b":{}},"required":["a"]}`), `the schema of FINE: its properties are [b], the fields of event.fine [a]`},
		{Register[fine], schema(`{"properties":{"a":{}}}`), `the schema of FINE: it requires [], event.fine [a]`},
	} {
		before := known.Load()
		got := func() (got string) {
			defer func() { got = fmt.Sprint(recover()) }()
			c.register(c.d)
			return ""
		}()
		if !strings.Contains(got, c.want) || !strings.HasPrefix(got, "event: registering the payload ") {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		if known.Load() != before {
			t.Errorf("the catalogue has changed")
		}
	}
}

func TestFieldsHaveDifferentNames(t *testing.T) {
	t.Parallel()
	a := reflect.StructField{Name: "A", Type: reflect.TypeFor[string](), Tag: `json:"a"`}
	b := a
	b.Name = "B"
	_, err := objectOf(reflect.StructOf([]reflect.StructField{a, b}))
	if err == nil || !strings.HasPrefix(err.Error(), "field B of ") || !strings.HasSuffix(err.Error(), ": a second field named a") {
		t.Errorf("two fields of one name: %v", err)
	}
}

// TestRegisterWithASchema uses a schema with a keyword that tags cannot express.
func TestRegisterWithASchema(t *testing.T) {
	t.Parallel()
	given := `{"type":"object","required":["a"],"properties":{"a":{"$ref":"envelope-1.0.json#/$defs/id","pattern":"^[A-Z]+$"}}}`
	e, err := entryOf[fine](Definition{RoutingKey: "a.b", AggregateType: "A", Version: "1.0", Schema: given})
	if err != nil || e.checkSchema() != nil || e.Schema != given {
		t.Fatal(err, e.checkSchema())
	}
	c := catalogueOf(append(builtIn[:len(builtIn):len(builtIn)], e))
	s := c.schemas().payloads["FINE"]["1.0"]
	if s.fast != nil {
		t.Error("the struct decides instead of the given schema")
	}
	for body, ok := range map[string]bool{`{"a":"ABC"}`: true, `{"a":"abc"}`: false, `{"a":""}`: false, `{}`: false} {
		d, ferr := parse([]byte(body))
		if ferr != nil {
			t.Fatal(ferr)
		}
		if ferr := s.check(d, 0); (ferr == nil) != ok {
			t.Errorf("%s: %v", body, ferr)
		}
		d.release()
	}
}

type concurrent struct {
	A string `json:"a"`
}

func (concurrent) EventType() Type { return "CONCURRENT" }

// TestRegisterBesideReaders is for the race detector: it reads events while it registers a type.
func TestRegisterBesideReaders(t *testing.T) {
	body := readExample(t, TypeSaleCompleted)
	before := known.Load()
	defer known.Store(before)
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := DecodeOutside(body); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		Register[concurrent](Definition{RoutingKey: "a.concurrent", AggregateType: "A", Version: "1.0"})
		if d, ok := Lookup("CONCURRENT"); !ok || d.Payload != reflect.TypeFor[concurrent]() || Types()[len(Types())-1] != "CONCURRENT" {
			t.Errorf("registered, it is %+v", d)
		}
		known.Store(before)
	}
	close(stop)
	readers.Wait()
}
