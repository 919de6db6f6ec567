// Package journal writes every dead letter into a table.
//
// Its queue is bound to everything that composerp.dead gets, from our own
// workers and from the broker's dead-lettering alike: the latter leaves no other
// trace. The messages themselves stay in their workers' dead-letter queues, for
// somebody to look at and put back.
package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the journal worker.
func New() worker.Worker {
	return worker.New("journal", worker.OnMessages(exchange.DeadJournal, record))
}

func record(ctx context.Context, tx *worker.Tx, messages []exchange.Delivery) error {
	letters := make([]store.DeadLetter, len(messages))
	for i, m := range messages {
		letter, err := letterOf(m)
		if err != nil {
			return worker.Reject(err)
		}
		letters[i] = letter
	}
	return tx.RecordDeadLetters(ctx, letters)
}

// letterSpace is the UUID namespace of journal entries (RFC 9562, 5.5).
var letterSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/dead-letter"))

// letterOf reads a message as a journal entry. Its id follows from the message
// and the time of its failure, so that a second delivery is the same entry, and
// the same message dead again later is another.
func letterOf(m exchange.Delivery) (store.DeadLetter, error) {
	failure := m.Failure()
	headers, err := json.Marshal(m.Headers)
	if err != nil {
		return store.DeadLetter{}, fmt.Errorf("writing the headers of message %s: %w", m.ID, err)
	}
	died := failure.LastFailedAt
	if died.IsZero() {
		died = m.Timestamp
	}
	letter := store.DeadLetter{
		Consumer: failure.Worker, MessageID: m.ID, Type: m.Type, RoutingKey: failure.OriginalRoutingKey,
		Error: failure.Error, Attempt: failure.Attempt, Headers: headers, Body: m.Body, DiedAt: died,
	}
	letter.EventID.UUID, letter.EventID.Valid = eventID(m)
	identity := fmt.Sprintf("%s\x00%s\x00%d\x00%s\x00%s", letter.Consumer, m.ID, letter.Attempt, died.UTC().Format(time.RFC3339Nano), m.Body)
	letter.ID = uuid.NewSHA1(letterSpace, []byte(identity))
	return letter, nil
}

// eventID is the envelope's id where the body is one, else the message's where that is a UUID.
func eventID(m exchange.Delivery) (uuid.UUID, bool) {
	var envelope struct {
		EventID uuid.UUID `json:"eventId"`
	}
	if err := json.Unmarshal(m.Body, &envelope); err == nil && envelope.EventID != uuid.Nil {
		return envelope.EventID, true
	}
	id, err := uuid.Parse(m.ID)
	return id, err == nil
}
