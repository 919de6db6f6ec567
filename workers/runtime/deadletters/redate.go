package deadletters

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/rabbitmq"
)

// redated is the message with another business time, in the envelope and in a payload that has one of its own; every
// other field, known or not, stays as it is. The zero time changes nothing. The event keeps its id: it takes the place
// of the one that was refused, and the workers that get it agree on its body.
func redated(m rabbitmq.Message, at time.Time) (rabbitmq.Message, error) {
	if at.IsZero() {
		return m, nil
	}
	var envelope, payload map[string]json.RawMessage
	err := json.Unmarshal(m.Body, &envelope)
	if err == nil {
		err = json.Unmarshal(envelope["payload"], &payload)
	}
	if err != nil {
		return m, fmt.Errorf("correcting the business time of message %s: it holds no event: %w", m.ID, err)
	}
	moment, err := json.Marshal(at.UTC())
	if err != nil {
		return m, fmt.Errorf("correcting the business time of message %s: %w", m.ID, err)
	}
	envelope["timestamp"] = moment
	if _, dated := payload["timestamp"]; dated {
		payload["timestamp"] = moment
		if envelope["payload"], err = json.Marshal(payload); err != nil {
			return m, fmt.Errorf("correcting the business time of message %s: %w", m.ID, err)
		}
	}
	if m.Body, err = json.Marshal(envelope); err != nil {
		return m, fmt.Errorf("correcting the business time of message %s: %w", m.ID, err)
	}
	return m, nil
}
