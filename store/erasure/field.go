package erasure

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/composerp/composerp/exchange/event"
)

// ErrField means that a field cannot be erased.
var ErrField = errors.New("it cannot be erased")

// All stands for every field that can be erased.
const All = "*"

// erased is what a required text becomes.
const erased = `"erased"`

// CheckField reports a field that is not written as a path, or that no event's can be erased of.
func CheckField(field string) error {
	names := strings.Split(field, ".")
	switch {
	case field == All:
		return nil
	case slices.Contains(names, ""):
		return fmt.Errorf("%q is no field; write it as payload.customerId", field)
	case field == "payload":
		return fmt.Errorf("payload: %w as a whole, for figures are made of it; name its fields, such as payload.customerId, or erase all that can be with '%s'", ErrField, All)
	case len(names) == 1 || names[0] != "payload" && names[0] != "metadata":
		return fmt.Errorf("%s: %w; a field is one of payload or metadata, such as payload.customerId or metadata.userId", field, ErrField)
	case field == "metadata."+mark:
		return fmt.Errorf("%s: %w: it says what was erased", field, ErrField)
	}
	return nil
}

// schema is what the rules need of a JSON Schema.
type schema struct {
	Ref        string             `json:"$ref"`
	Required   []string           `json:"required"`
	Properties map[string]*schema `json:"properties"`
	Items      *schema            `json:"items"`
}

// isText: a name or a note; no figure is made from it.
func (s *schema) isText() bool {
	return strings.HasSuffix(s.Ref, "/$defs/name") || strings.HasSuffix(s.Ref, "/$defs/note")
}

// schemaOf is the schema of an event: its payload's, and what is known of metadata.
func schemaOf(kind event.Type, version string) (*schema, error) {
	d, known := event.Lookup(kind)
	if !known {
		return nil, fmt.Errorf("%s is no event type of this program", kind)
	}
	text := d.Schema
	if version != d.Version {
		i := slices.IndexFunc(d.Former, func(f event.Former) bool { return f.Version == version })
		if i < 0 {
			return nil, fmt.Errorf("%s %s is no version that this program reads; use a newer program", kind, version)
		}
		text = d.Former[i].Schema
	}
	s := &schema{Properties: map[string]*schema{}}
	for name, text := range map[string]string{"payload": text, "envelope": event.EnvelopeSchema()} {
		s.Properties[name] = new(schema)
		if err := json.Unmarshal([]byte(text), s.Properties[name]); err != nil {
			return nil, fmt.Errorf("reading the schema of %s: %w", kind, err)
		}
	}
	metadata := s.Properties["envelope"].Properties["metadata"]
	metadata.Properties["userId"] = &schema{Ref: "/$defs/name"}
	metadata.Properties[mark] = new(schema)
	delete(s.Properties, "envelope")
	s.Properties["metadata"] = metadata
	return s, nil
}

// of is the schema of a member, and whether it is required; nil for one that no schema names. Items of an array have
// their members in the array's place.
func (s *schema) of(name string) (member *schema, required bool) {
	if s == nil {
		return nil, false
	}
	if s.Items != nil {
		return s.Items.of(name)
	}
	return s.Properties[name], slices.Contains(s.Required, name)
}

// may tells how a field is erased: replaced by a text, else taken out. An error says why it is not.
func (s *schema) may(field string, kind event.Type) (replace bool, err error) {
	at, required := s, false
	for name := range strings.SplitSeq(field, ".") {
		if at, required = at.of(name); at == nil {
			return false, nil // nothing of the program reads it
		}
	}
	switch {
	case !at.isText():
		return false, fmt.Errorf("%s of %s: %w: figures are made of it, or events are found by it; erase names, notes, metadata.userId and fields of your own", field, kind, ErrField)
	case required:
		return true, nil
	}
	return false, nil
}
