package importer

import (
	"reflect"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/event"
)

// outsideTypes are the types that a file can hold: those that external publishers may publish.
func outsideTypes() []string {
	var names []string
	for _, t := range event.Types() {
		if payloadType(t) != nil {
			names = append(names, string(t))
		}
	}
	return names
}

// payloadType gives the payload of a type that external publishers may publish, and nil for another.
func payloadType(t event.Type) reflect.Type {
	if d, ok := event.Lookup(t); ok && d.Outside {
		return d.Payload
	}
	return nil
}

// payload fills the fields of one payload type.
type payload struct {
	of     reflect.Type
	fields []payloadField
	stamps []int // fields of time that the mapping does not name: they get the event's own
}

// payloadField fills one field.
type payloadField struct {
	index    int
	name     string
	optional bool
	from     template
	set      func(into reflect.Value, f *payloadField, r *row) *Rejection
}

// decodePayload reads a rule's payload: every field of the type that must be there, and no other.
func (m *Mapping) decodePayload(kind, fields node) *payload {
	name := kind.text("an event type")
	made := &payload{of: payloadType(event.Type(name))}
	if made.of == nil {
		kind.fail("want a type of event that comes from outside, one of %s; got %q", strings.Join(outsideTypes(), ", "), name)
		return made
	}
	given := fields.keyed("fields with their values", fieldNames(made.of))
	for i := range made.of.NumField() {
		field := made.of.Field(i)
		tag, optional := jsonField(field)
		from, ok := given[tag]
		switch {
		case ok:
			f := payloadField{index: i, name: "payload." + tag, optional: optional, from: m.decodeTemplate(from)}
			f.set = setter(field.Type, f.from, from)
			made.fields = append(made.fields, f)
		case field.Type == timeType:
			made.stamps = append(made.stamps, i)
		case !optional:
			fields.fail("%s needs the field %q; it has %s", name, tag, strings.Join(fieldNames(made.of), ", "))
		}
	}
	return made
}

// jsonField gives a field's name in JSON, and whether it may be left out.
func jsonField(f reflect.StructField) (string, bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, strings.Contains(options, "omit")
}

func fieldNames(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		name, _ := jsonField(of.Field(i))
		names = append(names, name)
	}
	return names
}

var (
	timeType    = reflect.TypeFor[time.Time]()
	dateType    = reflect.TypeFor[event.Date]()
	decimalType = reflect.TypeFor[event.Decimal]()
)

// setter gives how a field of this type is filled.
func setter(t reflect.Type, from template, n node) func(reflect.Value, *payloadField, *row) *Rejection {
	switch t {
	case decimalType:
		if _, named := from.only(); !named {
			if _, err := event.ParseDecimal(n.text("a number")); err != nil {
				n.fail("want a number, or one name such as ${Quantity}")
			}
		}
		return setDecimal
	case timeType:
		return setTime
	case dateType:
		return setDate
	}
	if t.Kind() != reflect.String {
		n.fail("a mapping cannot fill a field of the type %s", t)
	}
	return setText
}

// fill makes the payload of a row.
func (p *payload) fill(r *row, timestamp time.Time) (event.Payload, *Rejection) {
	v := reflect.New(p.of).Elem()
	for i := range p.fields {
		f := &p.fields[i]
		if problem := f.set(v.Field(f.index), f, r); problem != nil {
			return nil, problem
		}
	}
	for _, i := range p.stamps {
		*v.Field(i).Addr().Interface().(*time.Time) = timestamp
	}
	return v.Interface().(event.Payload), nil
}

func setText(into reflect.Value, f *payloadField, r *row) *Rejection {
	text, problem := f.from.render(r)
	into.SetString(text)
	return problem
}

func setDecimal(into reflect.Value, f *payloadField, r *row) *Rejection {
	number := into.Addr().Interface().(*event.Decimal)
	slot, named := f.from.only()
	if !named {
		*number, _ = event.ParseDecimal(f.from.parts[0].literal) // checked when the mapping was read
		return nil
	}
	if c := r.cell(slot); f.optional && c.text == "" && !c.isNumber {
		return c.problem
	}
	var problem *Rejection
	*number, problem = r.number(slot)
	return problem
}

func setTime(into reflect.Value, f *payloadField, r *row) *Rejection {
	moment, problem := f.from.time(r, f.name)
	*into.Addr().Interface().(*time.Time) = moment
	return problem
}

// setDate takes a date as it is, or the day that a time of the file says in the file's own time zone.
func setDate(into reflect.Value, f *payloadField, r *row) *Rejection {
	text, problem := f.from.render(r)
	if problem != nil || (text == "" && f.optional) {
		return problem
	}
	date, err := event.ParseDate(text)
	if err != nil {
		moment, problem := f.from.time(r, f.name)
		if problem != nil {
			return problem
		}
		date = event.DateOf(moment.In(r.moments.zone))
	}
	into.SetString(string(date))
	return nil
}
