package deadletters

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
)

// Refusal is a letter that is not redriven without Force.
type Refusal struct {
	ID      uuid.UUID `json:"id"`
	EventID uuid.UUID `json:"eventId"`
	Why     string    `json:"why"`
}

// refuse divides letters into those that may be redriven and those whose events may have been handled in a generation
// of the inbox that is dropped. The message or the admission has the event's seq; where neither has, it counts as
// old. A message that is no event can have had no effect.
func (w *walk) refuse(ctx context.Context, letters []letter) (good []letter, refused []Refusal, err error) {
	horizon, err := inbox.ReadHorizon(ctx, w.DB)
	if err != nil || horizon.Seq == 0 {
		return letters, nil, err
	}
	places, err := w.places(ctx, letters)
	if err != nil {
		return nil, nil, err
	}
	for _, l := range letters {
		at := places[l.entry.EventID.UUID]
		if !l.entry.EventID.Valid || at > horizon.Seq {
			good = append(good, l)
			continue
		}
		refused = append(refused, Refusal{ID: l.entry.ID, EventID: l.entry.EventID.UUID, Why: unproven(at, horizon)})
	}
	return good, refused, nil
}

func unproven(at int64, horizon inbox.Horizon) string {
	where := "its place in the log is not known"
	if at > 0 {
		where = fmt.Sprintf("it is at place %d of the log", at)
	}
	return fmt.Sprintf("%s, and the inbox proves nothing before its generation %d of %s: it may have been handled, and would be handled again",
		where, horizon.Generation, horizon.OpenedAt.UTC().Format("2006-01-02 15:04:05 MST"))
}

// places are the seqs of the letters' events in the log.
func (w *walk) places(ctx context.Context, letters []letter) (map[uuid.UUID]int64, error) {
	var unknown []uuid.UUID
	for _, l := range letters {
		if l.entry.EventID.Valid && place(l.Delivery) == 0 {
			unknown = append(unknown, l.entry.EventID.UUID)
		}
	}
	places, err := eventlog.AdmittedAt(ctx, w.DB, unknown)
	if err != nil {
		return nil, err
	}
	for _, l := range letters {
		if at := place(l.Delivery); at > 0 {
			places[l.entry.EventID.UUID] = at
		}
	}
	return places, nil
}
