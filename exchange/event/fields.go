package event

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// object is how a struct is written in JSON: its fields, in the struct's order. It is made once from the struct's
// fields and tags. The reader, the writer and the JSON Schema all follow it, so a field is declared once: in the
// struct.
//
// The json tag gives the name, and with omitempty or omitzero makes the field optional. The event tag holds words
// that narrow the field's type:
//
//   - name, note: a text of at most 255 or 1000 characters; without either a string is an opaque id
//   - positive, nonnegative, nonzero: the sign of a number
//   - nonempty: at least one item in a list
//   - optional: may be absent when read, is always written
type object struct {
	of     reflect.Type
	fields []field
}

// field is one field of an object, or with no name the items of a list.
type field struct {
	name     string
	member   string // the name as the writer writes it
	goName   string
	index    int // in the struct
	kind     fieldKind
	required bool
	omit     bool   // leave it out when it is zero
	nonempty bool   // of a list
	sign     sign   // of a number
	text     string // of a string: the name of its definition in the envelope's schema
	enum     []string
	object   *object // of an object
	item     *field  // of a list
}

// fieldKind is how a Go type is read and written.
type fieldKind uint8

const (
	textField fieldKind = iota
	uuidField
	timeField
	dateField
	boolField
	integerField
	decimalField
	// optionalDecimalField is a *Decimal, whose absence is not zero.
	optionalDecimalField
	objectField
	listField
)

// sign is which signs a number may have.
type sign uint8

const (
	anySign sign = iota
	nonzero
	nonnegative
	positive
)

// Enum is a string type with a closed list of values. A field of such a type takes these values only.
type Enum interface {
	// Values gives all values.
	Values() []string
}

// fieldKinds are the kinds of the types that are not known by their reflect.Kind.
var fieldKinds = map[reflect.Type]fieldKind{
	reflect.TypeFor[uuid.UUID](): uuidField,
	reflect.TypeFor[time.Time](): timeField,
	reflect.TypeFor[Date]():      dateField,
	reflect.TypeFor[Decimal]():   decimalField,
	reflect.TypeFor[*Decimal]():  optionalDecimalField,
}

// fieldName is what a field may be called in JSON. Nothing in it needs an escape.
var fieldName = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

// objectOf makes the object of a struct type. The error names the Go field that it cannot use. The types in outer
// are those that hold this one.
func objectOf(t reflect.Type, outer ...reflect.Type) (*object, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is not a struct", t)
	}
	if slices.Contains(outer, t) {
		return nil, fmt.Errorf("%s holds itself", t)
	}
	o := &object{of: t}
	for sf := range t.Fields() {
		f, err := fieldOf(sf, append(outer, t))
		if err != nil {
			return nil, fmt.Errorf("field %s of %s: %w", sf.Name, t, err)
		}
		if slices.ContainsFunc(o.fields, func(other field) bool { return other.name == f.name }) {
			return nil, fmt.Errorf("field %s of %s: a second field named %s", sf.Name, t, f.name)
		}
		o.fields = append(o.fields, *f)
	}
	return o, nil
}

// fieldOf makes one field of an object.
func fieldOf(sf reflect.StructField, outer []reflect.Type) (*field, error) {
	name, option, _ := strings.Cut(sf.Tag.Get("json"), ",")
	switch {
	case sf.Anonymous || !sf.IsExported():
		return nil, fmt.Errorf("want an exported field with a name")
	case !fieldName.MatchString(name):
		return nil, fmt.Errorf("want a json tag with a name such as itemId, got %q", name)
	}
	f := &field{name: name, member: `,"` + name + `":`, goName: sf.Name, index: sf.Index[0], required: option == ""}
	if err := f.setType(sf.Type, outer); err != nil {
		return nil, err
	}
	if err := f.setOmit(option); err != nil {
		return nil, err
	}
	for word := range strings.SplitSeq(sf.Tag.Get("event"), ",") {
		if !f.narrow(word) {
			return nil, fmt.Errorf("the event tag's %q does not suit a %s", word, sf.Type)
		}
	}
	return f, nil
}

func (f *field) setType(t reflect.Type, outer []reflect.Type) (err error) {
	kind, known := fieldKinds[t]
	switch {
	case known:
		f.kind = kind
	case t.Kind() == reflect.String:
		f.kind, f.text = textField, "id"
		if enum, ok := reflect.Zero(t).Interface().(Enum); ok {
			f.enum = enum.Values()
		}
	case t.Kind() == reflect.Bool:
		f.kind = boolField
	case t.Kind() == reflect.Int64:
		f.kind = integerField
	case t.Kind() == reflect.Struct:
		f.kind = objectField
		f.object, err = objectOf(t, outer...)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Slice && t.Elem().Kind() != reflect.Pointer:
		f.kind, f.item = listField, &field{required: true}
		err = f.item.setType(t.Elem(), outer)
	default:
		err = fmt.Errorf("a %s cannot be a field of an event; there are string, bool, int64, time.Time, uuid.UUID, "+
			"event.Decimal, *event.Decimal, event.Date, structs, and slices of these", t)
	}
	return err
}

// setOmit takes the json tag's option. It refuses those with which encoding/json would write another text than the
// writer does.
func (f *field) setOmit(option string) error {
	f.omit = option != ""
	isStruct := f.kind == timeField || f.kind == decimalField || f.kind == objectField || f.kind == uuidField
	switch {
	case option == "" && f.kind == optionalDecimalField:
		return fmt.Errorf("want omitempty: a nil pointer cannot be written")
	case option == "" || option == "omitzero" && f.kind != listField || option == "omitempty" && !isStruct:
		return nil
	case option == "omitempty":
		return fmt.Errorf("want omitzero in the json tag: omitempty does nothing here")
	default:
		return fmt.Errorf("the json tag's %q does not suit this field", option)
	}
}

// narrow takes a word of the event tag, and gives false when it does not suit the field.
func (f *field) narrow(word string) bool {
	signs := map[string]sign{"positive": positive, "nonnegative": nonnegative, "nonzero": nonzero}
	switch {
	case word == "":
	case word == "optional" && f.kind == objectField:
		f.required = false
	case word == "nonempty" && f.kind == listField:
		f.nonempty = true
	case f.kind == listField:
		return f.item.narrow(word)
	case (word == "name" || word == "note") && f.kind == textField && f.enum == nil:
		f.text = word
	case signs[word] != anySign && (f.kind == decimalField || f.kind == optionalDecimalField):
		f.sign = signs[word]
	case signs[word] == nonnegative && f.kind == integerField:
		f.sign = nonnegative
	default:
		return false
	}
	return true
}

// mustObjectOf is objectOf of one of this package's own types.
func mustObjectOf(t reflect.Type) *object {
	o, err := objectOf(t)
	if err != nil {
		panic(err)
	}
	return o
}

// kindsOfFields is what a field is in JSON. A bool has two kinds there: see suits.
var kindsOfFields = [...]kind{
	textField: kindString, uuidField: kindString, timeField: kindString, dateField: kindString,
	integerField: kindNumber, decimalField: kindNumber, optionalDecimalField: kindNumber,
	boolField: kindTrue, objectField: kindObject, listField: kindArray,
}

// suits tells whether a JSON value of kind k can be the field's.
func (f *field) suits(k kind) bool {
	return k == kindsOfFields[f.kind] || k == kindFalse && f.kind == boolField
}

// at gives the address of the field or item that v is.
func at[T any](v reflect.Value) *T { return v.Addr().Interface().(*T) }
