package event

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Register adds an event type of your own to the catalogue: from then on Encode, Decode, DecodeOutside and Validate
// know it, workers can consume it, and the commands show it. Call it in an init function, or first thing in main:
// what a fleet consumes is settled when the fleet is made.
//
// T is the payload: a struct whose EventType method has a value receiver, and whose fields have tags as those of
// the built-in payloads have. The types of fields are string, bool, int64, time.Time, uuid.UUID, Decimal, *Decimal,
// Date, structs, and slices of these. The json tag gives a field's name, and with omitempty or omitzero makes it
// optional. The event tag holds words, with commas between them:
//
//   - name, note: a text of at most 255 or 1000 characters; without either, a string is an opaque id of at most 64
//     bytes, or a value of its type's Enum
//   - positive, nonnegative, nonzero: the sign of a number
//   - nonempty: at least one item in a list
//   - optional: a struct that may be absent when read and is always written
//
// The definition needs RoutingKey, AggregateType and Version. Type and Payload follow from T. An empty Schema is made
// from the struct; one that is given must have the struct's fields as its properties, and require the same.
//
// Register panics when the declaration is wrong or the type or routing key is taken. The text names the type.
func Register[T Payload](d Definition) {
	if err := register[T](d); err != nil {
		panic(fmt.Errorf("event: registering the payload %s: %w", reflect.TypeFor[T](), err))
	}
}

// registering is held while the catalogue is replaced.
var registering sync.Mutex

func register[T Payload](d Definition) error {
	e, err := entryOf[T](d)
	if err != nil {
		return err
	}
	if e.Schema == "" {
		e.Schema = payloadSchema(e.Type, e.Version, e.codec.object, nil)
	} else if err := e.checkSchema(); err != nil {
		return fmt.Errorf("the schema of %s: %w", e.Type, err)
	}
	registering.Lock()
	defer registering.Unlock()
	entries := known.Load().entries
	for _, other := range entries {
		switch {
		case other.Type == e.Type:
			return fmt.Errorf("%s is registered already, with the payload %s", e.Type, other.Payload)
		case other.RoutingKey == e.RoutingKey:
			return fmt.Errorf("the routing key %s of %s is that of %s already", e.RoutingKey, e.Type, other.Type)
		}
	}
	known.Store(catalogueOf(append(slices.Clone(entries), e)))
	return nil
}

// What a definition's texts look like.
var (
	typeText       = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	routingKeyText = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)
	versionText    = regexp.MustCompile(`^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`)
)

// maxRoutingKey is the length of the longest routing key of AMQP.
const maxRoutingKey = 255

// entryOf makes the entry of the payload T.
func entryOf[T Payload](d Definition) (*entry, error) {
	d.Payload = reflect.TypeFor[T]()
	o, err := objectOf(d.Payload)
	if err != nil {
		return nil, err
	}
	var zero T
	t := zero.EventType()
	switch {
	case d.Type != "" && d.Type != t:
		return nil, fmt.Errorf("the definition is of %s, the payload's EventType %s", d.Type, t)
	case !typeText.MatchString(string(t)):
		return nil, fmt.Errorf("EventType is %q, want capital letters, digits and _, such as SALE_COMPLETED", t)
	case !routingKeyText.MatchString(d.RoutingKey) || len(d.RoutingKey) > maxRoutingKey:
		return nil, fmt.Errorf("the RoutingKey of %s is %q, want small words with dots between them, such as "+
			"integration.sale_completed", t, d.RoutingKey)
	case checkID(d.AggregateType) != "":
		return nil, fmt.Errorf("the AggregateType of %s is %q, %s", t, d.AggregateType, wantID)
	case !versionText.MatchString(d.Version):
		return nil, fmt.Errorf("the Version of %s is %q, want major.minor, such as 1.0", t, d.Version)
	}
	d.Type = t
	return &entry{Definition: d, codec: codecOf[T](o)}, nil
}

// checkSchema tells whether a schema that was given can be compiled, and asks for what the struct needs.
func (e *entry) checkSchema() error {
	set, err := compileSchemas(map[string]string{envelopeFile: schemaText(envelopeFile), e.schemaFile(): e.Schema})
	if err != nil {
		return err
	}
	s := set.payloads[e.Type][e.Version].full
	var names, required []string
	for _, f := range e.codec.object.fields {
		names = append(names, f.name)
		if f.required {
			required = append(required, f.name)
		}
	}
	slices.Sort(names)
	slices.Sort(required)
	if properties := slices.Sorted(maps.Keys(s.Properties)); !slices.Equal(properties, names) {
		return fmt.Errorf("its properties are %s, the fields of %s %s", list(properties), e.Payload, list(names))
	}
	if wanted := slices.Sorted(slices.Values(s.Required)); !slices.Equal(wanted, required) {
		return fmt.Errorf("it requires %s, %s %s", list(wanted), e.Payload, list(required))
	}
	return nil
}

func list(names []string) string { return "[" + strings.Join(names, ", ") + "]" }
