package trace

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Event is an event of the log, why it is there, and where its deliveries are.
type Event struct {
	Seq           int64           `json:"seq"` // its place in the log
	ID            uuid.UUID       `json:"eventId"`
	Type          string          `json:"eventType"`
	Version       string          `json:"version"`
	Tenant        string          `json:"tenantId"`
	Aggregate     string          `json:"aggregateId"`
	Source        string          `json:"source,omitempty"`
	User          string          `json:"userId,omitempty"`
	CorrelationID string          `json:"correlationId,omitempty"`
	CausationID   string          `json:"causationId,omitempty"`
	Traceparent   string          `json:"traceparent,omitempty"`
	Replay        int64           `json:"replay,omitempty"`    // that it follows from, by number
	OccurredAt    time.Time       `json:"timestamp"`           // business time
	LoggedAt      *time.Time      `json:"loggedAt,omitempty"`  // nil for one of the version before
	Publisher     string          `json:"publisher,omitempty"` // external for one that came over AMQP
	Named         bool            `json:"named"`               // it is, or mentions, what was looked for
	Depth         int             `json:"depth"`               // how many events of the tree it follows from
	Archived      bool            `json:"archived,omitempty"`  // it is in an archive: its deliveries are over
	Deliveries    []Delivery      `json:"deliveries"`
	Body          json.RawMessage `json:"event,omitempty"`
}

// Delivery is an event on its way to a consumer.
type Delivery struct {
	Consumer string `json:"consumer"`
	State    State  `json:"state"`
	Tries    []Try  `json:"failedTries,omitempty"` // those of the last 30 days
}

// Try is an attempt that failed.
type Try struct {
	Attempt    int       `db:"attempt" json:"attempt"`
	FailedAt   time.Time `db:"failed_at" json:"failedAt"`
	Outcome    string    `db:"outcome" json:"outcome"`
	Error      string    `db:"error" json:"error"`
	Dependency string    `db:"dependency" json:"dependency,omitempty"`
	Class      string    `db:"class" json:"class,omitempty"` // of the quarantine
}

// State is where a delivery is.
type State string

// The states of a delivery.
const (
	Handled       State = "handled"       // the consumer's inbox has the event, or had it when a checkpoint proved it
	Parked        State = "parked"        // an earlier event of its aggregate has failed
	Discarded     State = "discarded"     // an operator gave it up
	Quarantined   State = "quarantined"   // held back with its class
	Dead          State = "dead"          // among the dead letters
	Unpublishable State = "unpublishable" // no broker takes it
	Unpublished   State = "unpublished"   // the relay has not passed it
	Deferred      State = "deferred"      // waits for a dependency, in a retry queue
	Retried       State = "retried"       // waits for its next attempt, in a retry queue
	Waiting       State = "waiting"       // in the consumer's queue, or in hand
)

// External is the publisher of an event that came over AMQP.
const External = "external"

// metadata is what a body says of its event's origin.
type metadata struct {
	Metadata struct {
		Source        string `json:"source"`
		UserID        string `json:"userId"`
		CorrelationID string `json:"correlationId"`
		CausationID   string `json:"causationId"`
		Traceparent   string `json:"traceparent"`
		Replay        int64  `json:"replay"`
	} `json:"metadata"`
}

// read takes what the body says. A body that is no JSON says nothing: the log takes none, but a person may write to it.
func (e *Event) read() {
	var m metadata
	if json.Unmarshal(e.Body, &m) != nil {
		e.Body = nil
		return
	}
	e.Source, e.User, e.Traceparent, e.Replay = m.Metadata.Source, m.Metadata.UserID, m.Metadata.Traceparent, m.Metadata.Replay
	e.CorrelationID, e.CausationID = m.Metadata.CorrelationID, m.Metadata.CausationID
}

// family is what all events of this one's tree share.
func (e *Event) family() string {
	if e.CorrelationID != "" {
		return e.CorrelationID
	}
	return e.ID.String()
}
