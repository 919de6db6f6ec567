package deadletters

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/exchange/topology"
	"github.com/composerp/composerp/store/failures"
)

// letterSpace is the UUID namespace of entries of the dead-letter log (RFC 9562, 5.5).
var letterSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/dead-letter"))

// LetterOf reads a dead message as an entry of the dead-letter log, whatever is in it: that worker has no retry
// queues, and a message that it refused would block its queue. The entry's id follows from the message and the time
// of its failure, so that the message in its queue and its copy for the dead-letter log are the same entry, and the
// same message dead again later is another.
func LetterOf(m rabbitmq.Delivery) failures.DeadLetter {
	failure := m.Failure()
	died := failure.LastFailedAt
	if died.IsZero() {
		died = m.Timestamp
	}
	if died.Year() < 1 || died.Year() > 9999 { // from an external publisher's clock
		died = time.Time{}
	}
	letter := failures.DeadLetter{
		Consumer: failure.Worker, MessageID: m.ID, Type: m.Type, RoutingKey: failure.OriginalRoutingKey,
		Error: failure.Error, Attempt: min(max(failure.Attempt, 0), math.MaxInt32), Headers: headersOf(m), Body: m.Body, DiedAt: died, ByPolicy: failure.ByPolicy,
	}
	if worker, fell := strings.CutPrefix(m.RoutingKey, topology.QueueName("")); letter.Consumer == "" && fell {
		letter.Consumer = worker // not sent by this fleet, but in this worker's queue
	}
	letter.EventID.UUID, letter.EventID.Valid = eventID(m)
	identity := fmt.Sprintf("%s\x00%s\x00%d\x00%s\x00%s", letter.Consumer, m.ID, letter.Attempt, died.UTC().Format(time.RFC3339Nano), m.Body)
	letter.ID = uuid.NewSHA1(letterSpace, []byte(identity))
	return letter
}

// headersOf gives the headers as a JSON object. What JSON cannot express, NaN for instance, is written as Go prints
// it.
func headersOf(m rabbitmq.Delivery) []byte {
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
func eventID(m rabbitmq.Delivery) (uuid.UUID, bool) {
	var envelope struct {
		EventID uuid.UUID `json:"eventId"`
	}
	if err := json.Unmarshal(m.Body, &envelope); err == nil && envelope.EventID != uuid.Nil {
		return envelope.EventID, true
	}
	id, err := uuid.Parse(m.ID)
	return id, err == nil
}

// deliveryOf is the message of an entry of the dead-letter log, as its worker would get it after a redrive.
func deliveryOf(l failures.DeadLetter) rabbitmq.Delivery {
	d := rabbitmq.Delivery{Message: rabbitmq.Message{
		Exchange: topology.Dead, RoutingKey: topology.QueueName(l.Consumer), ID: l.MessageID, Type: l.Type, Body: l.Body, Headers: headersIn(l.Headers),
	}}
	d.Message = rabbitmq.RedriveMessage(d, l.Consumer)
	return d
}

// headersIn reads what headersOf wrote; whole numbers become whole numbers again.
func headersIn(object []byte) map[string]any {
	headers := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	_ = decoder.Decode(&headers) // the column is jsonb
	for name, value := range headers {
		number, ok := value.(json.Number)
		if !ok {
			continue
		}
		if whole, err := number.Int64(); err == nil {
			headers[name] = whole
		} else if float, err := number.Float64(); err == nil {
			headers[name] = float
		}
	}
	return headers
}

// place is the event's seq in the log by the message's header; 0 when it has none.
func place(d rabbitmq.Delivery) int64 { return max(0, d.LogSeq()) }
