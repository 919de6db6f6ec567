package deadletters

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/rabbitmq"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
)

// ErrHeld refuses another time for an event that the log holds: its copy alone would change, and workers, replays and
// the audit would disagree.
var ErrHeld = errors.New("the log holds this event with another time, which stays: raise the bound (composerp tenant set --max-ahead-hours, or source set) " +
	"and redrive it without --timestamp, or discard it and publish it anew, with the right time and an id of its own")

// holdsAnother tells whether the log holds the event of a letter with another body than the one with which it would go
// back at this time; the zero time asks nothing. Another worker's letter of the same event may have gone back before,
// with the same time: then the log holds what this one would be.
func (c Config) holdsAnother(ctx context.Context, d rabbitmq.Delivery, at time.Time) (held bool, err error) {
	if at.IsZero() {
		return false, nil
	}
	back, err := Redated(d.Message, at)
	if err != nil || bytes.Equal(back.Body, d.Body) {
		return false, err
	}
	if d.LogSeq() > 0 {
		claims, err := eventlog.Contains(ctx, c.DB, []eventlog.Claim{{Seq: d.LogSeq(), Body: d.Body}})
		if err != nil || claims[0] {
			return true, err
		}
	}
	id, is := eventID(d)
	if !is {
		return false, nil
	}
	err = c.DB.InTx(ctx, func(tx store.Tx) error {
		bodies, err := eventlog.AdmittedBodies(ctx, tx, []uuid.UUID{id})
		body, admitted := bodies[id]
		held = admitted && body != string(back.Body)
		return err
	})
	return held, err
}

// Redated is the message with another business time, in the envelope and in a payload that has one of its own; every
// other field, known or not, stays as it is. The zero time changes nothing. The event keeps its id: it takes the place
// of the one that was refused, and the workers that get it agree on its body.
func Redated(m rabbitmq.Message, at time.Time) (rabbitmq.Message, error) {
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
