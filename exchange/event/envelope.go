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

// Envelope is what every event of Composerp travels in. The payload's own schema is in the file named after eventType
// and version. Fields that are not named here are allowed and ignored. The formats opaque-id, plain-text and decimal
// are Composerp's own: their descriptions say what they ask.
type Envelope struct {
	// The event's own id. A second event with the same id is the same event.
	ID            uuid.UUID `json:"eventId"`
	Type          Type      `json:"eventType"`
	AggregateType string    `json:"aggregateType"`
	// The thing the event is about; the order of events is kept within it.
	AggregateID string `json:"aggregateId"`
	TenantID    string `json:"tenantId"`
	// Business time: when it happened, not when it was heard.
	Timestamp time.Time `json:"timestamp"` // in UTC
	// The version of the payload's schema: major.minor.
	Version  string   `json:"version"` // a new minor version adds fields, a new major one changes them
	Metadata Metadata `json:"metadata" event:"optional"`
}

// Metadata says where an event came from.
type Metadata struct {
	// The system or worker that said it.
	Source string `json:"source,omitempty"`
	UserID string `json:"userId,omitempty"`
	// The same for all events that follow from one.
	CorrelationID string `json:"correlationId,omitempty"`
	// The eventId of the event that this one follows from directly.
	CausationID string `json:"causationId,omitempty"`
	// The W3C trace context header.
	Traceparent string `json:"traceparent,omitempty" event:"name"`
	// The aggregate's own version number, counting from 1.
	Sequence int64 `json:"sequence,omitempty" event:"nonnegative"` // 0: the aggregate has none
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
