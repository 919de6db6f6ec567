package event

import (
	"fmt"
	"strings"
)

// Decode reads an event: the envelope, and the payload as its type's struct. It is strict about the fields it knows,
// ignores those it does not, and asks no schema: it is for events that were checked when they were made or let in.
// It takes any minor version of the major version it knows. The error is a *FieldError.
//
// The event keeps body; the caller no longer changes it.
func Decode(body []byte) (Any, error) {
	d, ferr := parse(body)
	if ferr != nil {
		return Any{}, ferr
	}
	defer d.release()
	a, ferr := d.event(body)
	if ferr != nil {
		return Any{}, ferr
	}
	return a, nil
}

// Validate holds an event to the JSON Schemas of the envelope and of its type and version. The error is a
// *FieldError.
func Validate(body []byte) error {
	d, ferr := parse(body)
	if ferr != nil {
		return ferr
	}
	defer d.release()
	if ferr := d.validate(); ferr != nil {
		return ferr
	}
	return nil
}

// DecodeOutside reads an event that nobody has checked: it is Validate and Decode in one. The error is a
// *FieldError.
func DecodeOutside(body []byte) (Any, error) {
	d, ferr := parse(body)
	if ferr != nil {
		return Any{}, ferr
	}
	defer d.release()
	if ferr := d.validate(); ferr != nil {
		return Any{}, ferr
	}
	a, ferr := d.event(body)
	if ferr != nil {
		return Any{}, ferr
	}
	return a, nil
}

// DecodePayload reads a payload alone, without an envelope around it, and holds it to the schema of the type's current
// version. The error is a *FieldError, its field as within the payload: "quantity".
func DecodePayload(t Type, body []byte) (Payload, error) {
	e, ferr := lookup(t)
	if ferr != nil {
		return nil, ferr
	}
	d, ferr := parse(body)
	if ferr != nil {
		return nil, ferr
	}
	defer d.release()
	if ferr := schemas().payloads[t][e.Version].check(d, 0); ferr != nil {
		return nil, ferr
	}
	r := &reader{doc: d, next: 1}
	p := e.codec.read(r)
	if r.err != nil {
		return nil, r.err
	}
	return p, nil
}

// Encode makes an event. Type, AggregateType and Version come from the catalogue where they are empty. What it makes
// is held to the schemas, so an event that nobody could read is an error here and not with everybody who hears it.
// The same envelope and payload give the same bytes. The error is a *FieldError.
func Encode(env Envelope, p Payload) (Any, error) {
	if p == nil {
		return Any{}, &FieldError{Field: "payload", Problem: "missing"}
	}
	e, ferr := lookup(p.EventType())
	if ferr != nil {
		return Any{}, ferr
	}
	if env.Type != "" && env.Type != e.Type {
		return Any{}, &FieldError{Field: "eventType", Problem: fmt.Sprintf("is %s, but the payload is one of %s", env.Type, e.Type)}
	}
	env.Type = e.Type
	if env.AggregateType == "" {
		env.AggregateType = e.AggregateType
	}
	if env.Version == "" {
		env.Version = e.Version
	}
	a, ferr := write(e, env, p)
	if ferr != nil {
		return Any{}, ferr
	}
	if err := Validate(a.Body); err != nil {
		return Any{}, err
	}
	return a, nil
}

// usualBody is the room an event is given at first; most fit.
const usualBody = 768

// write makes an event's bytes without asking the schemas.
func write(e *entry, env Envelope, p Payload) (Any, *FieldError) {
	w := &writer{b: append(make([]byte, 0, usualBody), '{')}
	env.head(w)
	p, ok := e.codec.write(w, "payload", p)
	if !ok {
		return Any{}, &FieldError{Field: "payload", Problem: fmt.Sprintf("a Go type that is not the catalogue's for %s", e.Type)}
	}
	w.object("metadata", &env.Metadata, optional)
	if w.err != nil {
		return Any{}, w.err
	}
	return Any{Envelope: env, Payload: p, Body: append(w.b, '}')}, nil
}

// event reads the event that the document is.
func (d *document) event(body []byte) (Any, *FieldError) {
	var env Envelope
	r := &reader{doc: d}
	env.head(r)
	if r.err != nil {
		return Any{}, r.err
	}
	e, ferr := lookup(env.Type)
	if ferr != nil {
		return Any{}, ferr
	}
	if major(env.Version) != major(e.Version) {
		return Any{}, &FieldError{Field: "version", Problem: fmt.Sprintf("want %s.x of %s, got %s", major(e.Version), e.Type, quote(env.Version))}
	}
	a := Any{Body: body}
	if i := r.find("payload", required, kindObject, wantObject); i >= 0 {
		pr := &reader{doc: d, at: i, next: i + 1}
		a.Payload, r.err = e.codec.read(pr), pr.err
	}
	r.object("metadata", &env.Metadata, optional)
	if r.err != nil {
		return Any{}, r.err
	}
	a.Envelope = env
	return a, nil
}

func lookup(t Type) (*entry, *FieldError) {
	e, ok := byType[t]
	if !ok {
		return nil, &FieldError{Field: "eventType", Problem: "unknown type " + quote(string(t)), kind: ErrUnknownType}
	}
	return e, nil
}

func major(version string) string {
	major, _, _ := strings.Cut(version, ".")
	return major
}
