package event

import (
	"bytes"
	"fmt"
	"slices"
)

// Renamed is a former version whose next one has the same fields under other names: names has the new name by the old
// one. Events of it are read, made and checked as fast as those of the current version. schema is that of the former
// version; that of a built-in type is in its file.
func Renamed(version, schema string, names map[string]string) Former {
	back := make(map[string]string, len(names))
	for old, current := range names {
		back[current] = old
	}
	return Former{Version: version, Schema: schema, Upcast: renaming(names), Downcast: renaming(back), names: names}
}

// renaming renames members of a payload. A payload that has a member of a new name already is refused: one of the two
// would be lost.
func renaming(names map[string]string) func(map[string]any) error {
	return func(payload map[string]any) error {
		for from, to := range names {
			if _, taken := payload[to]; taken {
				return fmt.Errorf("%s becomes %s, and there is a %s already", from, to, to)
			}
		}
		for from, to := range names {
			if value, has := payload[from]; has {
				delete(payload, from)
				payload[to] = value
			}
		}
		return nil
	}
}

// Older is the version before the current one, where events can still be emitted in it: while consumers read no other.
// It is "" of a type without one.
func (d Definition) Older() string {
	if n := len(d.Former); n > 0 && d.Former[n-1].Downcast != nil && major(d.Former[n-1].Version) != major(d.Version) {
		return d.Former[n-1].Version
	}
	return ""
}

// addOlder makes the codecs of former versions that differ in names alone. Names that would lose a field are refused.
func (e *entry) addOlder(codecFor func(*object) codec) error {
	for i, f := range e.Former {
		if f.names == nil {
			continue
		}
		o := &object{of: e.codec.object.of, fields: slices.Clone(e.codec.object.fields)}
		for old, current := range f.names {
			at := slices.IndexFunc(o.fields, func(field field) bool { return field.name == current })
			switch {
			case at < 0:
				return fmt.Errorf("the former version %s of %s: %s becomes %s, which is no field of %s", f.Version, e.Type, old, current, o.of)
			case slices.ContainsFunc(e.codec.object.fields, func(field field) bool { return field.name == old }) || !fieldName.MatchString(old):
				return fmt.Errorf("the former version %s of %s: %s cannot be the old name of %s", f.Version, e.Type, old, current)
			}
			o.fields[at].name, o.fields[at].member = old, `,"`+old+`":`
		}
		if i == len(e.Former)-1 {
			c := codecFor(o)
			e.older = &c
		}
	}
	return nil
}

// readsAsIs reports whether a payload that needs these steps is read by the codec of the older version, and not upcast.
func (e *entry) readsAsIs(steps []Former) bool { return e.older != nil && len(steps) == 1 }

// codecOf is the codec that reads payloads of a version, when they need no upcasting; nil for another version.
func (e *entry) codecOf(version string) *codec {
	switch {
	case major(version) == major(e.Version):
		return &e.codec
	case e.older != nil && e.readsAsIs(e.upcasts(version)):
		return e.older
	}
	return nil
}

var (
	versionMember = []byte(`"version":"`)
	payloadMember = []byte(`"payload":`)
)

// VersionOf is the version of an event, and "" where its body cannot be read. Where the version stands before the
// payload, as Encode writes it, the body is not parsed: no text in a body can contain unescaped quotes.
func VersionOf(body []byte) string {
	if at := bytes.Index(body, versionMember); at >= 0 {
		before, rest := body[:at], body[at+len(versionMember):]
		if end := bytes.IndexByte(rest, '"'); end >= 0 && bytes.Count(before, []byte{'{'}) == 1 && !bytes.Contains(before, payloadMember) {
			return string(rest[:end])
		}
	}
	d, ferr := parse(body)
	if ferr != nil {
		return ""
	}
	defer d.release()
	if at := d.member(0, 1, "version"); at >= 0 && d.nodes[at].kind == kindString {
		return d.nodes[at].text
	}
	return ""
}

// SameMajor reports whether a consumer of one version reads events of the other as they are.
func SameMajor(a, b string) bool { return major(a) == major(b) }

// Convert returns an event's body in another version of its type: the current one, or Definition.Older. A body whose
// version has the same major number is returned as it is. Unknown fields are kept. The error is a *FieldError.
func Convert(body []byte, version string) ([]byte, error) {
	d, ferr := parse(body)
	if ferr != nil {
		return nil, ferr
	}
	defer d.release()
	at, t := d.member(0, 1, "version"), d.member(0, 1, "eventType")
	if at < 0 || t < 0 || d.nodes[at].kind != kindString {
		return nil, &FieldError{Field: "version", Problem: "missing"}
	}
	e, ferr := lookup(Type(d.nodes[t].text))
	if ferr != nil {
		return nil, ferr
	}
	has := d.nodes[at].text
	switch {
	case major(has) == major(version):
		return body, nil
	case major(version) == major(e.Version):
		return Upcast(body)
	case version != e.Older() || major(has) != major(e.Version):
		return nil, &FieldError{Field: "version", Problem: fmt.Sprintf("%s of %s cannot be written as version %s", has, e.Type, version)}
	}
	f := e.Former[len(e.Former)-1]
	text, ferr := d.rewritten(version, func(payload map[string]any) *FieldError {
		if err := apply(f.Downcast, payload); err != nil {
			return &FieldError{Field: "payload", Problem: fmt.Sprintf("cannot be written as version %s of %s: %v", version, e.Type, err)}
		}
		return nil
	})
	if ferr != nil {
		return nil, ferr
	}
	return text, nil
}

// Same reports whether two bodies are one event in two versions of its type, or one body.
func Same(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, errA := Upcast(a)
	y, errB := Upcast(b)
	if errA != nil || errB != nil || SameMajor(VersionOf(a), VersionOf(b)) {
		return false
	}
	p, wrongP := parse(x)
	if wrongP != nil {
		return false
	}
	defer p.release()
	q, wrongQ := parse(y)
	if wrongQ != nil {
		return false
	}
	defer q.release()
	first, wrongP := p.rewritten("", func(map[string]any) *FieldError { return nil })
	second, wrongQ := q.rewritten("", func(map[string]any) *FieldError { return nil })
	return wrongP == nil && wrongQ == nil && bytes.Equal(first, second)
}
