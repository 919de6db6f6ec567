package deadletters

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
)

// Entry is a dead letter as it is shown and exported, a line of JSON each.
type Entry struct {
	ID          uuid.UUID  `json:"id"`
	Queue       string     `json:"queue"`
	Worker      string     `json:"worker"`
	State       string     `json:"state"` // pending, redriven, discarded or lost
	EventID     *uuid.UUID `json:"eventId,omitempty"`
	MessageID   string     `json:"messageId"`
	Type        string     `json:"type"`
	Tenant      string     `json:"tenantId"`
	Aggregate   string     `json:"aggregateId"`
	RoutingKey  string     `json:"routingKey"`
	Error       string     `json:"error"`
	Fingerprint string     `json:"fingerprint"`
	// Policy is what the policies of its queue set when one of them made it a dead letter.
	Policy      string          `json:"policy,omitempty"`
	Quarantine  string          `json:"quarantine,omitempty"`
	Attempt     int             `json:"attempt"`
	DiedAt      time.Time       `json:"diedAt,omitzero"`
	RecordedAt  *time.Time      `json:"recordedAt,omitempty"`
	Redrives    int             `json:"redrives,omitempty"`
	RedrivenAt  *time.Time      `json:"redrivenAt,omitempty"`
	DiscardedAt *time.Time      `json:"discardedAt,omitempty"`
	MissedAt    *time.Time      `json:"missedAt,omitempty"`
	Headers     json.RawMessage `json:"headers,omitempty"`
	// Body is the message's body, byte for byte; BodyBase64 is the body where it is not UTF-8.
	Body       *string `json:"body,omitempty"`
	BodyBase64 []byte  `json:"bodyBase64,omitempty"`
}

// EntryOf is a letter of the dead-letter log as an Entry.
func EntryOf(l failures.DeadLetter) Entry {
	e := Entry{
		ID: l.ID, Queue: topology.DeadQueueName(l.Consumer), Worker: l.Consumer, State: stateOf(l), MessageID: l.MessageID, Type: l.Type,
		Tenant: l.Tenant, Aggregate: l.Aggregate, RoutingKey: l.RoutingKey, Error: l.Error, Fingerprint: l.Fingerprint, Policy: l.Policy, Quarantine: l.Quarantine,
		Attempt: l.Attempt, DiedAt: l.DiedAt.UTC(), Redrives: l.Redrives,
		RedrivenAt: instant(l.RedrivenAt), DiscardedAt: instant(l.DiscardedAt), MissedAt: instant(l.MissedAt), Headers: l.Headers,
	}
	if l.EventID.Valid {
		e.EventID = &l.EventID.UUID
	}
	if !l.RecordedAt.IsZero() {
		e.RecordedAt = instant(sql.NullTime{Time: l.RecordedAt, Valid: true})
	}
	if text := string(l.Body); utf8.ValidString(text) {
		e.Body = &text
	} else {
		e.BodyBase64 = l.Body
	}
	return e
}

func stateOf(l failures.DeadLetter) string {
	switch {
	case l.DiscardedAt.Valid:
		return "discarded"
	case l.RedrivenAt.Valid:
		return "redriven"
	case l.MissedAt.Valid:
		return "lost"
	}
	return "pending"
}

func instant(t sql.NullTime) *time.Time {
	if !t.Valid {
		return nil
	}
	utc := t.Time.UTC()
	return &utc
}

// WriteLine writes an Entry, or what has one and more, as one line of JSON.
func WriteLine(w io.Writer, entry any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(entry); err != nil {
		return fmt.Errorf("exporting a dead letter: %w", err)
	}
	return nil
}
