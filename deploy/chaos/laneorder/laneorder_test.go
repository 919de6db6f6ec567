package laneorder_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/deploy/chaos/laneorder"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// What was handled in lanes after a later movement of its position is found; nothing else is.
func TestLateMovementsAreFound(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	view, other := p.Consumer("view"), p.Consumer("other")
	storetest.Must(t, laneorder.Watch(t.Context(), p.SQL(), "view"))
	p.Exec(`INSERT INTO lane_set (queue, wanted, routed, consumed) VALUES ('view', 0, 0, 0)`)
	moves := 0
	move := func(position string, sequence int64) uuid.UUID {
		t.Helper()
		e := workertest.Event(t, event.InventoryUpdated{ItemID: "cup", LocationID: "shop", TransactionID: "x", TransactionType: event.TransactionSale},
			func(env *event.Envelope) { env.AggregateID, env.Metadata.Sequence = position, sequence })
		p.Append(e)
		moves++
		return e.ID
	}
	claim := func(commit bool, events ...uuid.UUID) {
		t.Helper()
		tx := p.OpenTx()
		p.Claims(tx, view, events...)
		if commit {
			storetest.Must(t, tx.Commit())
		} else {
			storetest.Must(t, tx.Rollback())
		}
	}
	one, two := move("without lanes", 1), move("without lanes", 2)
	claim(true, two)
	claim(true, one)
	p.Exec(`UPDATE lane_set SET consumed = 16`)
	one, two, three := move("in order", 1), move("in order", 2), move("in order", 3)
	claim(true, one)
	claim(true, three, two) // one transaction
	one, two = move("rolled back", 1), move("rolled back", 2)
	claim(false, two)
	claim(true, one)
	claim(true, two)
	one, two = move("another worker", 1), move("another worker", 2)
	tx := p.OpenTx()
	p.Claims(tx, other, two)
	storetest.Must(t, tx.Commit())
	claim(true, one)
	claim(true, two)
	one, two = move("repaired", 1), move("repaired", 2)
	p.Exec(`INSERT INTO gap (consumer, epoch, seq) SELECT 'view', 1, min(seq) - 1 FROM event_log WHERE event_id = $1`, one)
	p.Exec(`DELETE FROM gap`)
	claim(true, two)
	claim(true, one)
	late := func(want ...uuid.UUID) {
		t.Helper()
		handled, found, err := laneorder.Read(t.Context(), p.SQL())
		if err != nil || handled != moves-2 || len(found) != len(want) {
			t.Fatalf("%d handled, late are %v (%v), want %d", handled, found, err, len(want))
		}
		for i := range want {
			if found[i].Event != want[i] {
				t.Errorf("%s is late, want %s", found[i], want[i])
			}
		}
	}
	late()
	one, two, three = move("late", 1), move("late", 2), move("late", 3)
	claim(true, two)
	claim(true, three, one) // not by the later one of its own transaction
	late(one)
	if _, found, _ := laneorder.Read(t.Context(), p.SQL()); found[0].Before != 2 || found[0].Sequence != 1 || found[0].Lanes != 16 {
		t.Errorf("found %+v, want movement 1 after 2 in one of 16 lanes", found[0])
	}
}
