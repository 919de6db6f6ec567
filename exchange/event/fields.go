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

// object is the JSON form of a struct: its fields in the struct's order. It is made once, from the struct's fields and
// tags. The reader, the writer and the JSON Schema follow it, so a field is declared once: in the struct.
//
// The doc comment of Register describes the tags.
type object struct {
	of     reflect.Type
	fields []field
}

// field is a field of an object, or without a name the item of a list.
type field struct {
	name     string
	member   string // the name as the writer writes it
	goName   string
	index    int // in the struct
	kind     fieldKind
	required bool
	omit     bool   // not written when it is zero
	nonempty bool   // of a list
	sign     sign   // of a number
	text     string // of a string: its definition in the envelope's schema
	enum     []string
	object   *object // of an object
	item     *field  // of a list
}

// fieldKind is the way in which a Go type is read and written.
type fieldKind uint8

const (
	textField fieldKind = iota
	uuidField
	timeField
	dateField
	boolField
	integerField
	decimalField
	// optionalDecimalField is a *Decimal: nil is not zero.
	optionalDecimalField
	objectField
	listField
)

// sign is a bound on the sign of a number.
type sign uint8

const (
	anySign sign = iota
	nonzero
	nonnegative
	positive
)

// Enum is a string type with a closed list of values. The schema of a field of such a type allows only these.
type Enum interface {
	// Values returns all values. It must not depend on the value.
	Values() []string
}

// fieldKinds are the kinds of the types that reflect.Kind does not tell.
var fieldKinds = map[reflect.Type]fieldKind{
	reflect.TypeFor[uuid.UUID](): uuidField,
	reflect.TypeFor[time.Time](): timeField,
	reflect.TypeFor[Date]():      dateField,
	reflect.TypeFor[Decimal]():   decimalField,
	reflect.TypeFor[*Decimal]():  optionalDecimalField,
}

// fieldName matches a field's name in JSON. No character of it needs an escape.
var fieldName = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)

// objectOf returns the object of a struct type. The error names the Go field that cannot be used. The types in outer
// contain this one.
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

// fieldOf returns one field of an object.
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

// setOmit takes the option of the json tag. It refuses an option that encoding/json treats in another way than the
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

// narrow applies a word of the event tag, and returns false when the field's type does not take it.
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

// mustObjectOf is objectOf for the types of this package.
func mustObjectOf(t reflect.Type) *object {
	o, err := objectOf(t)
	if err != nil {
		panic(err)
	}
	return o
}

// kindsOfFields are the kinds of the fields' JSON values. A bool has two: see suits.
var kindsOfFields = [...]kind{
	textField: kindString, uuidField: kindString, timeField: kindString, dateField: kindString,
	integerField: kindNumber, decimalField: kindNumber, optionalDecimalField: kindNumber,
	boolField: kindTrue, objectField: kindObject, listField: kindArray,
}

// suits reports whether the field can be read from a JSON value of kind k.
func (f *field) suits(k kind) bool {
	return k == kindsOfFields[f.kind] || k == kindFalse && f.kind == boolField
}

// at returns the address of v, which is addressable and of type T.
func at[T any](v reflect.Value) *T { return v.Addr().Interface().(*T) }
