package event

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
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

// envelopeObject is the envelope as an object. The payload stands between its head and its tail, the metadata.
var (
	envelopeObject = mustObjectOf(reflect.TypeFor[Envelope]())
	envelopeHead   = envelopeObject.fields[:len(envelopeObject.fields)-1]
	envelopeTail   = envelopeObject.fields[len(envelopeObject.fields)-1:]
)

// codec reads and writes one type's payload.
type codec struct {
	object *object
	// has tells whether a payload is of the codec's Go type, as a value or by a pointer.
	has func(p Payload) bool
	// read makes a payload of the object at index i.
	read func(r *reader, i int32) Payload
	// write writes a payload that the codec has, and gives it as it will be read again.
	write func(w *writer, p Payload) (Payload, *FieldError)
}

// codecOf makes the codec of the payload T.
func codecOf[T Payload](o *object) codec {
	var values scratch[T]
	return codec{
		object: o,
		has: func(p Payload) bool {
			pointer, isPointer := any(p).(*T)
			_, isValue := p.(T)
			return isValue || isPointer && pointer != nil
		},
		read: func(r *reader, i int32) Payload {
			v := values.get()
			defer values.put(v)
			r.fields(o.fields, reflect.ValueOf(v).Elem(), i, i+1)
			return *v
		},
		write: func(w *writer, p Payload) (Payload, *FieldError) {
			v := values.get()
			defer values.put(v)
			if pointer, ok := any(p).(*T); ok {
				*v = *pointer
			} else {
				*v = p.(T)
			}
			err := w.object(o, reflect.ValueOf(v).Elem())
			return *v, err
		},
	}
}

// scratch keeps values of T for the next event. What reflection touches is on the heap, so reading and writing would
// allocate each value twice.
type scratch[T any] struct{ pool sync.Pool }

func (s *scratch[T]) get() *T {
	if v, ok := s.pool.Get().(*T); ok {
		return v
	}
	return new(T)
}

// put takes a value back and forgets what is in it.
func (s *scratch[T]) put(v *T) {
	*v = *new(T)
	s.pool.Put(v)
}

var envelopes scratch[Envelope]

// write makes an event's bytes without asking the schemas. The payload it gives is as it will be read again.
func write(e *entry, env Envelope, p Payload) (Any, *FieldError) {
	if !e.codec.has(p) {
		return Any{}, &FieldError{Field: "payload", Problem: fmt.Sprintf("a Go type that is not the catalogue's for %s", e.Type)}
	}
	scratch := envelopes.get()
	defer envelopes.put(scratch)
	*scratch = env
	v := reflect.ValueOf(scratch).Elem()
	w := &writer{b: append(make([]byte, 0, usualBody), '{')}
	if err := w.fields(envelopeHead, v); err != nil {
		return Any{}, err
	}
	w.member(`,"payload":`)
	p, err := e.codec.write(w, p)
	if err != nil {
		return Any{}, err.within("payload")
	}
	if err := w.fields(envelopeTail, v); err != nil {
		return Any{}, err
	}
	return Any{Envelope: *scratch, Payload: p, Body: append(w.b, '}')}, nil
}

// event reads the event that the document is.
func (d *document) event(body []byte) (Any, *FieldError) {
	env := envelopes.get()
	defer envelopes.put(env)
	v := reflect.ValueOf(env).Elem()
	r := &reader{doc: d}
	next := r.fields(envelopeHead, v, 0, 1)
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
	p, next := r.payload(e, next)
	if r.err == nil {
		r.fields(envelopeTail, v, 0, next)
	}
	if r.err != nil {
		return Any{}, r.err
	}
	return Any{Envelope: *env, Payload: p, Body: body}, nil
}

// payload reads the event's payload, and gives the index behind it. It looks for it at index next first.
func (r *reader) payload(e *entry, next int32) (Payload, int32) {
	switch i := r.doc.member(0, next, "payload"); {
	case i < 0:
		r.fail("payload", "missing")
		return nil, next
	case r.doc.nodes[i].kind != kindObject:
		r.mismatch(i, wantObject)
		return nil, next
	default:
		return e.codec.read(r, i), r.doc.nodes[i].next
	}
}

func lookup(t Type) (*entry, *FieldError) {
	e, ok := known.Load().byType[t]
	if !ok {
		return nil, &FieldError{Field: "eventType", Problem: "unknown type " + quote(string(t)), kind: ErrUnknownType}
	}
	return e, nil
}

func major(version string) string {
	major, _, _ := strings.Cut(version, ".")
	return major
}
