package event

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// Decode reads an event: the envelope, and the payload as its type's struct. It refuses known fields of a wrong type,
// ignores unknown fields, and does not check the schema: it is for events that were checked before. It accepts any
// minor version of the type's major version, and upcasts former versions: Version and Payload are then those of the
// current version, Body is what was published. The error is a *FieldError.
//
// The event keeps body: the caller must not change it afterwards.
func Decode(body []byte) (Any, error) { return decode(body, true) }

// Validate checks an event against the JSON Schemas of the envelope and of its type and version, and an event of a
// former version, upcast, against the current one's too. The error is a *FieldError.
func Validate(body []byte) error {
	d, ferr := parse(body)
	if ferr != nil {
		return ferr
	}
	d, ferr = d.current(true)
	d.release()
	if ferr != nil {
		return ferr
	}
	return nil
}

// DecodeOutside reads an event that was not checked before: it is Validate and Decode in one. The error is a
// *FieldError.
func DecodeOutside(body []byte) (Any, error) { return decode(body, false) }

func decode(body []byte, checked bool) (Any, error) {
	d, ferr := parse(body)
	if ferr != nil {
		return Any{}, ferr
	}
	d, ferr = d.current(!checked)
	defer d.release()
	if ferr != nil {
		return Any{}, ferr
	}
	a, ferr := d.event(body)
	if ferr == nil && !checked {
		ferr = checkPayload(a.Payload)
	}
	if ferr != nil {
		return Any{}, ferr
	}
	return a, nil
}

// checkPayload checks what no schema can say: what fields have to do with each other.
func checkPayload(p Payload) *FieldError {
	if c, is := p.(interface{ check() *FieldError }); is {
		return c.check()
	}
	return nil
}

// Encode makes an event. The catalogue provides Type, AggregateType and Version where they are empty; Version may also
// be Definition.Older: the body is then of that version. Encode checks its
// result against the schemas, so a bad event fails here and not in its consumers. The same envelope and payload
// result in the same bytes. The error is a *FieldError.
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
	env.AggregateType = cmp.Or(env.AggregateType, e.AggregateType)
	env.Version = cmp.Or(env.Version, e.Version)
	if env.Version != e.Version && env.Version != e.Older() { // the payload is one of the current version
		return Any{}, noVersion(env.Version, e)
	}
	a, err := e.write(env, p)
	if err != nil {
		return Any{}, err
	}
	if err := Validate(a.Body); err != nil {
		return Any{}, err
	}
	if ferr := checkPayload(a.Payload); ferr != nil {
		return Any{}, ferr
	}
	return a, nil
}

// usualBody is the initial capacity of a body, in bytes. Most events fit.
const usualBody = 768

// envelopeObject is the envelope as an object. The payload is written between its head and its tail, the metadata.
var (
	envelopeObject = mustObjectOf(reflect.TypeFor[Envelope]())
	envelopeHead   = envelopeObject.fields[:len(envelopeObject.fields)-1]
	envelopeTail   = envelopeObject.fields[len(envelopeObject.fields)-1:]
)

// codec reads and writes one type's payload.
type codec struct {
	object *object
	// has reports whether a payload is of the codec's Go type, a value or a pointer to one.
	has func(p Payload) bool
	// read returns the payload that the object at index i holds.
	read func(r *reader, i int32) Payload
	// write writes a payload of the codec's Go type, and returns it as Decode will return it.
	write func(w *writer, p Payload) (Payload, *FieldError)
}

// codecOf returns the codec of the payload T, whose object is o.
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

// scratch is a pool of values of T to read into and to write from. Reflection moves such a value to the heap; without
// the pool each event would allocate it twice.
type scratch[T any] struct{ pool sync.Pool }

func (s *scratch[T]) get() *T {
	if v, ok := s.pool.Get().(*T); ok {
		return v
	}
	return new(T)
}

// put returns a value to the pool, cleared.
func (s *scratch[T]) put(v *T) {
	*v = *new(T)
	s.pool.Put(v)
}

var envelopes scratch[Envelope]

// write makes an event in the version of the envelope, which is the current or the older one.
func (e *entry) write(env Envelope, p Payload) (Any, error) {
	c := e.codecOf(env.Version)
	version := env.Version
	if c == nil {
		c, env.Version = &e.codec, e.Version
	}
	a, ferr := write(e, c, env, p)
	if ferr != nil {
		return Any{}, ferr
	}
	if version != env.Version {
		body, err := Convert(a.Body, version)
		if err != nil {
			return Any{}, err
		}
		a.Body, a.Version = body, version
	}
	return a, nil
}

// write makes an event without checking the schemas. Its envelope and payload are as Decode will return them.
func write(e *entry, c *codec, env Envelope, p Payload) (Any, *FieldError) {
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
	p, err := c.write(w, p)
	if err != nil {
		return Any{}, err.within("payload")
	}
	if err := w.fields(envelopeTail, v); err != nil {
		return Any{}, err
	}
	return Any{Envelope: *scratch, Payload: p, Body: append(w.b, '}')}, nil
}

// event reads the document as an event. The event keeps body, the document's text.
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
	c := e.codecOf(env.Version)
	switch c {
	case nil:
		return Any{}, &FieldError{Field: "version", Problem: fmt.Sprintf("want %s.x of %s, got %s", major(e.Version), e.Type, quote(env.Version))}
	case e.older:
		env.Version = e.Version
	}
	p, next := r.payload(c, next)
	if r.err == nil {
		r.fields(envelopeTail, v, 0, next)
	}
	if r.err != nil {
		return Any{}, r.err
	}
	return Any{Envelope: *env, Payload: p, Body: body}, nil
}

// payload reads the event's payload, which it first looks for at index next, and returns the index after it.
func (r *reader) payload(c *codec, next int32) (Payload, int32) {
	switch i := r.doc.member(0, next, "payload"); {
	case i < 0:
		r.fail("payload", "missing")
		return nil, next
	case r.doc.nodes[i].kind != kindObject:
		r.mismatch(i, wantObject)
		return nil, next
	default:
		return c.read(r, i), r.doc.nodes[i].next
	}
}

func lookup(t Type) (*entry, *FieldError) {
	e, ok := known.Load().byType[t]
	if !ok {
		return nil, &FieldError{Field: "eventType", Problem: "unknown type " + quote(string(t))}
	}
	return e, nil
}

func major(version string) string {
	major, _, _ := strings.Cut(version, ".")
	return major
}
