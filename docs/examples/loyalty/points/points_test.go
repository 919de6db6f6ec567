package points_test

import (
	"testing"

	"example.com/loyalty/points"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/extension"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// Points of several sales add up; a second copy of an event adds nothing.
func TestPointsAddUp(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	if _, err := extension.MigrateRegistered(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	first := workertest.Event(t, points.CardPresented{CardID: "C-1", SaleID: "S-1", Points: event.NewDecimal(3)})
	second := workertest.Event(t, points.CardPresented{CardID: "C-1", SaleID: "S-2", Points: event.NewDecimal(4)})
	if _, err := workertest.Handle(t, db, points.New(), first, second, first); err != nil {
		t.Fatal(err)
	}
	storetest.Must(t, db.InTx(t.Context(), func(tx store.Tx) error {
		var sum int
		err := extension.Get(t.Context(), tx, &sum, `SELECT points::int FROM loyalty.card WHERE tenant_id = $1 AND card_id = 'C-1'`, workertest.Tenant)
		if sum != 7 {
			t.Errorf("the card has %d points, want 7", sum)
		}
		return err
	}))
}
