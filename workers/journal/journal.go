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
	"math"
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
		letters[i] = letterOf(m)
	}
	return tx.RecordDeadLetters(ctx, letters)
}

// letterSpace is the UUID namespace of journal entries (RFC 9562, 5.5).
var letterSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/dead-letter"))

// letterOf reads a message as a journal entry, whatever is in it: the journal
// has no ladder, and a message it refused would stand before all others for
// ever. The entry's id follows from the message and the time of its failure, so
// that a second delivery is the same entry, and the same message dead again
// later is another.
func letterOf(m exchange.Delivery) store.DeadLetter {
	failure := m.Failure()
	died := failure.LastFailedAt
	if died.IsZero() {
		died = m.Timestamp
	}
	if died.Year() < 1 || died.Year() > 9999 { // a stranger's clock
		died = time.Time{}
	}
	letter := store.DeadLetter{
		Consumer: failure.Worker, MessageID: m.ID, Type: m.Type, RoutingKey: failure.OriginalRoutingKey,
		Error: failure.Error, Attempt: min(max(failure.Attempt, 0), math.MaxInt32), Headers: headersOf(m), Body: m.Body, DiedAt: died,
	}
	letter.EventID.UUID, letter.EventID.Valid = eventID(m)
	identity := fmt.Sprintf("%s\x00%s\x00%d\x00%s\x00%s", letter.Consumer, m.ID, letter.Attempt, died.UTC().Format(time.RFC3339Nano), m.Body)
	letter.ID = uuid.NewSHA1(letterSpace, []byte(identity))
	return letter
}

// headersOf gives the headers as a JSON object. What JSON has no word for, such
// as a number that is none, is written as Go prints it.
func headersOf(m exchange.Delivery) []byte {
	headers := make(map[string]json.RawMessage, len(m.Headers))
	for name, value := range m.Headers {
		text, err := json.Marshal(value)
		if err != nil {
			text, _ = json.Marshal(fmt.Sprint(value))
		}
		headers[name] = text
	}
	object, _ := json.Marshal(headers) // of texts that are JSON already
	return object
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
