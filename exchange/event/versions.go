package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Former is an earlier version of a type, whose events the log, the queues and external publishers still hold.
type Former struct {
	// Version is "major.minor".
	Version string
	// Schema is the payload's JSON Schema in this version. That of a built-in type is in its file.
	Schema string
	// Upcast turns a payload of this version into one of the type's next version. It changes the object in place and
	// leaves alone what it does not know. Values are those of encoding/json, numbers are json.Number. nil is right
	// where the next version reads such a payload as it is, which a new minor version must.
	Upcast func(payload map[string]any) error
	// Downcast is the way back, as Upcast is: Downcast after Upcast leaves a payload as it was. With it the type can be
	// migrated without a halt: workers emit this version until an operator starts the migration, and consumers that
	// read no other get it until the end. nil: the next version is emitted at once.
	Downcast func(payload map[string]any) error

	// names are the fields that the next version names anew, by their names in this one; see Renamed.
	names map[string]string
}

// formers are the former versions of the built-in types, oldest first. A version moves here when the catalogue gets
// the next one; its schema's file stays, and its golden events too.
var formers = map[Type][]Former{
	// quantity was the signed change of a movement; everywhere else a quantity counts goods.
	TypeInventoryUpdated: {Renamed("1.0", "", map[string]string{"quantity": "change"})},
}

// checkFormer checks that the former versions ascend to the current one, and that each reaches the next.
func (d *Definition) checkFormer() error {
	for i, f := range d.Former {
		next := d.Version
		if i+1 < len(d.Former) {
			next = d.Former[i+1].Version
		}
		switch {
		case !versionText.MatchString(f.Version):
			return fmt.Errorf("a former Version of %s is %q, want major.minor, such as 1.0", d.Type, f.Version)
		case !earlier(f.Version, next):
			return fmt.Errorf("the former versions of %s: %s does not come before %s", d.Type, f.Version, next)
		case f.Schema == "":
			return fmt.Errorf("the former version %s of %s has no Schema", f.Version, d.Type)
		case f.Upcast == nil && major(f.Version) != major(next):
			return fmt.Errorf("the former version %s of %s has no Upcast to %s", f.Version, d.Type, next)
		case f.Downcast != nil && f.Upcast == nil:
			return fmt.Errorf("the former version %s of %s has a Downcast and no Upcast", f.Version, d.Type)
		case f.Downcast != nil && i+1 < len(d.Former):
			return fmt.Errorf("the former version %s of %s has a Downcast: only the newest of them can be emitted", f.Version, d.Type)
		}
	}
	return nil
}

func earlier(a, b string) bool {
	numbers := func(version string) (n [2]uint64) {
		for i, part := range strings.SplitN(version, ".", 2) {
			n[i], _ = strconv.ParseUint(part, 10, 64)
		}
		return n
	}
	x, y := numbers(a), numbers(b)
	return slices.Compare(x[:], y[:]) < 0
}

// upcasts returns the functions that bring a payload of this version to the current one, none when it reads as it is.
// A minor version that is not known is read as the newest known one of its major version.
func (e *entry) upcasts(version string) []Former {
	if version == e.Version {
		return nil
	}
	from := slices.IndexFunc(e.Former, func(f Former) bool { return f.Version == version })
	if from < 0 && major(version) != major(e.Version) {
		for i, f := range e.Former {
			if major(f.Version) == major(version) {
				from = i
			}
		}
	}
	if from < 0 || !slices.ContainsFunc(e.Former[from:], func(f Former) bool { return f.Upcast != nil }) {
		return nil
	}
	return e.Former[from:]
}

// upcastsOf returns the catalogue's entry of a document's type and what brings the document to the current version.
func (d *document) upcastsOf() (*entry, []Former) {
	all := known.Load()
	if !all.evolved {
		return nil, nil
	}
	t, version := d.member(0, 1, "eventType"), d.member(0, 1, "version")
	if t < 0 || version < 0 {
		return nil, nil
	}
	e, ok := all.byType[Type(d.nodes[t].text)]
	if !ok {
		return nil, nil
	}
	return e, e.upcasts(d.nodes[version].text)
}

// current returns the document in its type's current version: the same document, or another one in its stead when it
// has been upcast; then the former is released. With check, it is checked against the schemas of both versions. After
// an error the former document is returned.
func (d *document) current(check bool) (*document, *FieldError) {
	if check {
		if ferr := d.validate(); ferr != nil {
			return d, ferr
		}
	}
	e, steps := d.upcastsOf()
	if steps == nil || e.readsAsIs(steps) {
		return d, nil
	}
	text, ferr := d.upcast(e, steps)
	if ferr != nil {
		return d, ferr
	}
	after, ferr := parse(text)
	if ferr == nil && check {
		if ferr = after.validate(); ferr != nil {
			after.release()
		}
	}
	if ferr != nil {
		ferr.Problem += ", after upcasting from version " + steps[0].Version
		return d, ferr
	}
	d.release()
	return after, nil
}

// upcast returns the text of the event in the current version.
func (d *document) upcast(e *entry, steps []Former) ([]byte, *FieldError) {
	return d.rewritten(e.Version, func(payload map[string]any) *FieldError {
		for _, f := range steps {
			if f.Upcast == nil {
				continue
			}
			if err := apply(f.Upcast, payload); err != nil {
				return &FieldError{Field: "payload", Problem: fmt.Sprintf("cannot be upcast from version %s of %s: %v", f.Version, e.Type, err)}
			}
		}
		return nil
	})
}

// rewritten returns the text of the event in another version, once change has made its payload one of that version.
func (d *document) rewritten(version string, change func(payload map[string]any) *FieldError) ([]byte, *FieldError) {
	whole, _ := d.value(0).(map[string]any)
	payload, ok := whole["payload"].(map[string]any)
	if !ok {
		return nil, &FieldError{Field: "payload", Problem: wantObject}
	}
	if ferr := change(payload); ferr != nil {
		return nil, ferr
	}
	whole["version"] = version
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // the text may be shown
	if err := encoder.Encode(whole); err != nil {
		return nil, &FieldError{Field: "payload", Problem: fmt.Sprintf("cannot be written in version %s: %v", version, err)}
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// apply calls an Upcast or a Downcast. Its panic is an error: a payload that was not checked may hold any type of
// value.
func apply(change func(map[string]any) error, payload map[string]any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the upcaster panicked: %v", p)
		}
	}()
	return change(payload)
}

// Upcast returns an event's body in its type's current version: body itself when no upcaster changes it. Unknown
// fields are kept. The error is a *FieldError.
func Upcast(body []byte) ([]byte, error) {
	d, ferr := parse(body)
	if ferr != nil {
		return nil, ferr
	}
	defer d.release()
	e, steps := d.upcastsOf()
	if steps == nil {
		return body, nil
	}
	text, ferr := d.upcast(e, steps)
	if ferr != nil {
		return nil, ferr
	}
	return text, nil
}

// Steps returns an event's body in each later version of its type, after upcasting from one to the next, and none when
// it is in the current version. The error is a *FieldError.
func Steps(body []byte) ([][]byte, error) {
	d, ferr := parse(body)
	if ferr != nil {
		return nil, ferr
	}
	defer d.release()
	e, formers := d.upcastsOf()
	var steps [][]byte
	for i := range formers {
		next := *e
		if i+1 < len(formers) {
			next.Version = formers[i+1].Version
		}
		text, ferr := d.upcast(&next, formers[:i+1])
		if ferr != nil {
			return nil, ferr
		}
		steps = append(steps, text)
	}
	return steps, nil
}

// Proposal is a payload's schema that the catalogue does not have, to hold events to.
type Proposal struct{ schema *schema }

// NewProposal compiles a schema for payloads of a type. The schema may refer to the definitions of envelope-1.0.json.
func NewProposal(t Type, text string) (*Proposal, error) {
	e, ferr := lookup(t)
	if ferr != nil {
		return nil, ferr
	}
	set, err := compileSchemas(map[string]string{envelopeFile: schemaText(envelopeFile), e.schemaFile(): text})
	if err != nil {
		return nil, fmt.Errorf("reading the proposed schema of %s: %w", t, err)
	}
	return &Proposal{set.payloads[t][e.Version]}, nil
}

// Check checks the payload of an event, upcast to the current version first, against the proposed schema. The error
// is a *FieldError.
func (p *Proposal) Check(body []byte) error {
	d, ferr := parse(body)
	if ferr != nil {
		return ferr
	}
	d, ferr = d.current(false)
	defer d.release()
	if ferr != nil {
		return ferr
	}
	payload := d.member(0, 1, "payload")
	if payload < 0 {
		return &FieldError{Field: "payload", Problem: "missing"}
	}
	if ferr := p.schema.check(d, payload); ferr != nil {
		return ferr
	}
	return nil
}

// EnvelopeSchema returns the JSON Schema of the envelope, with the definitions that the payloads' schemas refer to.
func EnvelopeSchema() string { return schemaText(envelopeFile) }
