package event

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
)

// MaxBody is the size of the largest body that this package reads or makes, in bytes.
const MaxBody = 1 << 20

// Payload is the part of an event whose fields depend on the type. The structs of the catalogue implement it, with a
// value receiver.
type Payload interface {
	// EventType returns the event type whose payload it is. It must not depend on the value.
	EventType() Type
}

// Envelope is the outer object of every event. The payload's own schema is in the file named after eventType and
// version. Fields that are not named here are allowed and ignored. The formats opaque-id, plain-text and decimal are
// Composerp's own: their descriptions define them.
type Envelope struct {
	// The event's own id. A second event with the same id is the same event.
	ID            uuid.UUID `json:"eventId"`
	Type          Type      `json:"eventType"`
	AggregateType string    `json:"aggregateType"`
	// The thing that the event is about; the order of events is kept within it.
	AggregateID string `json:"aggregateId"`
	TenantID    string `json:"tenantId"`
	// Business time: when it happened, not when it was received.
	Timestamp time.Time `json:"timestamp"` // in UTC
	// The version of the payload's schema: major.minor.
	Version  string   `json:"version"` // a new minor version adds fields, a new major one changes them
	Metadata Metadata `json:"metadata" event:"optional"`
}

// Metadata is the origin of an event.
type Metadata struct {
	// The system or worker that published it.
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
	// It is long past and was brought in later: it moves stock and demand, and triggers nothing.
	History bool `json:"history,omitempty"`
	// The replay that it follows from, by number: what handles it makes no calls to the outside world.
	Replay int64 `json:"replay,omitempty" event:"nonnegative"` // 0: none
	// When an external publisher sent it, by the timestamp property of its message.
	PublishedAt time.Time `json:"publishedAt,omitzero"` // in UTC
}

// Or returns m with what it lacks taken from other: source, user and correlation where they are opaque ids, the trace
// context where it is one, and the time of publishing.
func (m Metadata) Or(other Metadata) Metadata {
	for value, otherwise := range map[*string]string{&m.Source: other.Source, &m.UserID: other.UserID, &m.CorrelationID: other.CorrelationID} {
		if *value == "" && otherwise != "" && checkID(otherwise) == "" {
			*value = otherwise
		}
	}
	if m.Traceparent == "" && other.TraceID() != "" && checkID(other.Traceparent) == "" {
		m.Traceparent = other.Traceparent
	}
	if at := canonicalTime(other.PublishedAt); m.PublishedAt.IsZero() && writable(at) {
		m.PublishedAt = at
	}
	return m
}

// Any is an event of any type.
type Any struct {
	Envelope
	// Payload is a struct of the catalogue, as a value.
	Payload Payload
	// Body is the event as published, byte for byte. It is shared and must not be changed.
	Body []byte
	// LogSeq is the event's log position; 0 when it did not come through the log.
	LogSeq int64
}

// Of is an event with a payload of type T.
type Of[T Payload] struct {
	Envelope
	Payload T
}

// As returns the event as one with a payload of type T, and false when it has another type.
func As[T Payload](a Any) (Of[T], bool) {
	p, ok := a.Payload.(T)
	return Of[T]{Envelope: a.Envelope, Payload: p}, ok
}

// TraceID is the trace id in a traceparent (W3C Trace Context: version-trace-parent-flags), for log lines and
// exemplars; empty where there is none.
func (m Metadata) TraceID() string {
	parts := strings.Split(m.Traceparent, "-")
	if len(parts) < 4 || len(parts[1]) != 32 {
		return ""
	}
	if _, err := hex.DecodeString(parts[1]); err != nil {
		return ""
	}
	return parts[1]
}

// TraceOf is the trace id of a body, which may be no event.
func TraceOf(body []byte) string {
	var e struct {
		Metadata struct {
			Traceparent string `json:"traceparent"`
		} `json:"metadata"`
	}
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	return Metadata{Traceparent: e.Metadata.Traceparent}.TraceID()
}
