package planning_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/storetest"
)

// Ten pieces are counted in on day 1, six are sold on day 2, nine on day 4, and
// seven come on day 6: measured from day 2 to day 8.
func TestMeasureService(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	cost := event.NewDecimal(3)
	storetest.MustGet(masterdata.SetItems(t.Context(), p.DB, []masterdata.Item{{Tenant: "shop", Item: "i", Unit: "each", Pack: event.NewDecimal(1), UnitCost: &cost}}))(t)
	day := func(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }
	sequence, onHand := int64(0), int64(0)
	move := func(kind event.TransactionType, pieces int64, at time.Time) {
		storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error {
			key := masterdata.PositionKey{Tenant: "shop", Item: "i", Location: "S"}
			positions, err := ledger.LockPositions(t.Context(), tx, []masterdata.PositionKey{key}, nil)
			if err != nil {
				return err
			}
			sequence, onHand = sequence+1, onHand+pieces
			at1 := positions[key]
			at1.OnHand, at1.Sequence = event.NewDecimal(onHand), sequence
			return ledger.Post(t.Context(), tx, []ledger.Movement{{
				EventID: uuid.New(), Position: at1.ID, Sequence: sequence, Quantity: event.NewDecimal(pieces), OnHand: at1.OnHand, Type: kind, OccurredAt: at,
			}}, []*ledger.Position{at1})
		}))
	}
	move(event.TransactionCount, 10, day(1))
	move(event.TransactionSale, -6, day(2))
	move(event.TransactionSale, -9, day(4)) // four are on hand
	move(event.TransactionReceipt, 7, day(6))
	move(event.TransactionSale, -1, day(6).Add(-time.Hour)) // late: it held for no time
	move(event.TransactionSale, -1, day(9))
	s := storetest.MustGet(planning.MeasureService(t.Context(), p.DB, "shop", day(2), day(8)))(t)
	if s.Sold.String() != "16" || s.Filled.String() != "11" || s.StockOuts != 1 {
		t.Errorf("sold %s, filled %s, %d stock-outs", s.Sold, s.Filled, s.StockOuts)
	}
	// Four pieces for two days, none for two, then, with the two after the receipt and the late sale, one for two days.
	if want := (4*2 + 0*2 + 1*2) / 6.0; math.Abs(s.Stock-want) > 0.02 || math.Abs(s.Value-3*want) > 0.06 {
		t.Errorf("average stock %f worth %f, want %f", s.Stock, s.Value, want)
	}
	if other := storetest.MustGet(planning.MeasureService(t.Context(), p.DB, "another", day(2), day(8)))(t); !other.Sold.IsZero() || other.Stock != 0 {
		t.Errorf("another shop has %+v", other)
	}
}
