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

// Register adds an event type to the catalogue. Encode, Decode, DecodeOutside and Validate then handle it, workers can
// consume and emit it, and every command that goes through Types includes it. Call it from an init function or at the
// start of main: the topology is computed when the fleet is made.
//
// T is the payload: a struct with an EventType method on the value. Its fields are of the types string, bool, int64,
// time.Time, uuid.UUID, Decimal, *Decimal and Date, structs of these, and slices of these. The json tag names the
// field; omitempty or omitzero makes it optional. The event tag, a comma-separated list, narrows the type:
//
//   - name, note: a text of at most 255 or 1000 characters; without either, a string is an opaque id of at most 64
//     bytes, or a value of its type's Enum
//   - positive, nonnegative, nonzero: the sign of a number
//   - nonempty: at least one item in a list
//   - optional: the struct may be absent when read, and is always written
//
// The definition needs RoutingKey, AggregateType and Version. Type and Payload follow from T. An empty Schema is made
// from the struct. A given Schema must have the struct's fields as its properties and require the same ones; checking
// an event against it takes longer. Former has the versions before, with their schemas and upcasters: events of these
// are read as events of the current version.
//
// Register panics when the declaration is wrong, or the type or the routing key is registered already. The message
// names the type.
func Register[T Payload](d Definition) {
	if err := register[T](d); err != nil {
		panic(fmt.Errorf("event: registering the payload %s: %w", reflect.TypeFor[T](), err))
	}
}

// registering guards the replacement of the catalogue.
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
	if _, err := compileSchemas(schemasAlone(e)); err != nil {
		return fmt.Errorf("the former schemas of %s: %w", e.Type, err)
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

// The forms of a definition's texts.
var (
	typeText       = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	routingKeyText = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)
	versionText    = regexp.MustCompile(`^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$`)
)

// maxRoutingKey is AMQP's limit, in bytes.
const maxRoutingKey = 255

// entryOf returns the entry of the payload T, without a schema when d has none.
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
	if err := d.checkFormer(); err != nil {
		return nil, err
	}
	e := &entry{Definition: d, codec: codecOf[T](o), given: d.Schema != ""}
	return e, e.addOlder(codecOf[T])
}

// schemasAlone are the texts of the schemas of one type, and of the envelope.
func schemasAlone(e *entry) map[string]string {
	texts := map[string]string{envelopeFile: schemaText(envelopeFile)}
	e.addSchemas(texts)
	return texts
}

// checkSchema checks that a given schema compiles and has the struct's fields.
func (e *entry) checkSchema() error {
	set, err := compileSchemas(schemasAlone(e))
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
