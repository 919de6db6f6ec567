package event

import (
	"time"

	"github.com/google/uuid"
)

// MaxBody is the size of the largest body that is read or made, in bytes.
const MaxBody = 1 << 20

// Payload is the part of an event that is its type's own. The types of this package's catalogue implement it, as
// values.
type Payload interface {
	// EventType says which type's payload it is.
	EventType() Type
}

// Envelope is everything of an event but its payload.
type Envelope struct {
	// ID is the event's own. A second event with the same ID is the same event.
	ID            uuid.UUID `json:"eventId"`
	Type          Type      `json:"eventType"`
	AggregateType string    `json:"aggregateType"`
	// AggregateID names the thing the event is about; the order of events is kept within it.
	AggregateID string `json:"aggregateId"`
	TenantID    string `json:"tenantId"`
	// Timestamp is business time: when it happened, not when it was heard. UTC, kept to the microsecond.
	Timestamp time.Time `json:"timestamp"`
	// Version is the schema's, "major.minor": a new minor version adds fields, a new major one changes them.
	Version  string   `json:"version"`
	Metadata Metadata `json:"metadata"`
}

// Metadata says where an event came from.
type Metadata struct {
	// Source is the system or worker that said it.
	Source string `json:"source,omitempty"`
	UserID string `json:"userId,omitempty"`
	// CorrelationID is the same for all events that follow from one.
	CorrelationID string `json:"correlationId,omitempty"`
	// CausationID is the eventId of the event that this one follows from directly.
	CausationID string `json:"causationId,omitempty"`
	// Traceparent is the W3C trace context header, passed on unread.
	Traceparent string `json:"traceparent,omitempty"`
	// Sequence is the aggregate's own version number, counting from 1; 0 means the aggregate has none.
	Sequence int64 `json:"sequence,omitempty"`
}

// Any is an event of whatever type.
type Any struct {
	Envelope
	// Payload is one of this package's payload types, as a value.
	Payload Payload
	// Body is the event as published, byte for byte. It is shared, so nobody changes it.
	Body []byte
	// LogSeq is the event's place in the log; 0 says that it did not come through the log.
	LogSeq int64
}

// Of is an event whose type the compiler knows.
type Of[T Payload] struct {
	Envelope
	Payload T
}

// As gives the event as one with a payload of type T, and false when it is of another type.
func As[T Payload](a Any) (Of[T], bool) {
	p, ok := a.Payload.(T)
	return Of[T]{Envelope: a.Envelope, Payload: p}, ok
}
