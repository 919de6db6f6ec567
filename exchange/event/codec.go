package event

import (
	"encoding/json"
	"fmt"
	"strconv"
)

type codec struct {
	decode func([]byte) (Payload, error)
}

func codecOf[T Payload]() codec {
	return codec{decode: func(b []byte) (Payload, error) {
		var p T
		err := json.Unmarshal(b, &p)
		return p, err
	}}
}

// Decode reads an event.
func Decode(body []byte) (Any, error) {
	var w struct {
		Envelope
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return Any{}, &FieldError{Problem: err.Error()}
	}
	e, ok := byType[w.Type]
	if !ok {
		return Any{}, &FieldError{Field: "eventType", Problem: fmt.Sprintf("unknown type %q", w.Type), kind: ErrUnknownType}
	}
	p, err := e.codec.decode(w.Payload)
	if err != nil {
		return Any{}, &FieldError{Field: "payload", Problem: err.Error()}
	}
	return Any{Envelope: w.Envelope, Payload: p, Body: body}, nil
}

// Validate checks a body.
func Validate(body []byte) error {
	_, err := Decode(body)
	return err
}

// DecodeOutside reads an event from outside.
func DecodeOutside(body []byte) (Any, error) { return Decode(body) }

// Encode makes an event.
func Encode(env Envelope, p Payload) (Any, error) {
	d, ok := Lookup(p.EventType())
	if !ok {
		return Any{}, &FieldError{Field: "eventType", Problem: "unknown", kind: ErrUnknownType}
	}
	env.Type = d.Type
	if env.AggregateType == "" {
		env.AggregateType = d.AggregateType
	}
	if env.Version == "" {
		env.Version = d.Version
	}
	body, err := json.Marshal(struct {
		Envelope
		Payload Payload `json:"payload"`
	}{env, p})
	return Any{Envelope: env, Payload: p, Body: body}, err
}

func quote(s string) string { return strconv.Quote(s) }
