package parking_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/failures"
	"github.com/composerp/composerp/store/parking"
	"github.com/composerp/composerp/store/storetest"
)

// Who discards the dead letter that an aggregate waits for lets the next event be handled, and then the others.
func TestADiscardedHeadLetsTheRestGoOn(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ctx := t.Context()
	a := parking.Aggregate{Tenant: "shop", ID: "po-1"}
	head, second, third := uuid.New(), uuid.New(), uuid.New()
	letter := failures.DeadLetter{ID: uuid.New(), Consumer: "view", EventID: uuid.NullUUID{UUID: head, Valid: true}, MessageID: head.String(), Type: "T",
		Headers: []byte("{}"), Body: []byte("{}"), DiedAt: time.Now()}
	storetest.Must(t, p.InTx(ctx, func(tx store.Tx) error {
		if _, err := parking.Hold(ctx, tx, "view", a, 5, head); err != nil {
			return err
		}
		if err := failures.RecordDeadLetters(ctx, tx, []failures.DeadLetter{letter}); err != nil {
			return err
		}
		event := func(id uuid.UUID) parking.Event {
			return parking.Event{Aggregate: a, EventID: id, Message: []byte("{}"), Body: []byte(id.String())}
		}
		return parking.Park(ctx, tx, "view", []parking.Event{event(second), event(third), event(second)})
	}))
	next := func(want uuid.UUID) {
		t.Helper()
		due, err := parking.Next(ctx, p.DB, "view", 5, 16)
		storetest.Must(t, err)
		if got := eventOf(due); got != want {
			t.Fatalf("the next parked event is %s, want %s", got, want)
		}
		if due, err := parking.Next(ctx, p.DB, "view", 6, 16); err != nil || due != nil {
			t.Fatalf("another lane has the event %v, %v", due, err)
		}
	}
	next(uuid.Nil)
	if held, err := parking.List(ctx, p.DB); err != nil || len(held) != 1 || held[0].Head != head || held[0].Parked != 2 || !held[0].Dead {
		t.Fatalf("held: %+v, %v", held, err)
	}
	storetest.Must(t, failures.MarkDeadLetters(ctx, p.DB, failures.Discarded, []uuid.UUID{letter.ID}))
	next(second)
	for _, done := range []uuid.UUID{second, third} {
		next(done)
		storetest.Must(t, p.InTx(ctx, func(tx store.Tx) error { _, err := parking.Advance(ctx, tx, "view", []uuid.UUID{done}); return err }))
	}
	if held, err := parking.List(ctx, p.DB); err != nil || len(held) != 0 {
		t.Errorf("still held: %+v, %v", held, err)
	}
}

func eventOf(e *parking.Event) uuid.UUID {
	if e == nil {
		return uuid.Nil
	}
	return e.EventID
}
