package stockview_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/store/storetest"
)

func TestStockNeverGoesBack(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 8)
	row := func(sequence int64) stockview.Stock {
		n := event.NewDecimal(sequence)
		return stockview.Stock{
			Tenant: "shop", Item: "i", Location: "S", OnHand: n, Reserved: event.NewDecimal(1), Available: n.Sub(event.NewDecimal(1)), Sequence: sequence,
			LastMovement: time.Date(2011, 8, 1, 0, 0, int(sequence), 0, time.UTC), LastType: "SALE",
		}
	}
	var run []func(context.Context) error
	for i := range 5 {
		run = append(run, func(ctx context.Context) error {
			for _, k := range rand.Perm(20) {
				err := p.InTx(ctx, func(tx store.Tx) error {
					return stockview.UpdateStock(ctx, tx, []stockview.Stock{row(int64(1 + k*5 + i)), {Tenant: "shop", Item: "other", Location: fmt.Sprint(i)}})
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	storetest.Concurrently(t, run...)
	rows, err := stockview.StockRows(t.Context(), p.DB, masterdata.PositionKey{Item: "i"})
	storetest.Must(t, err)
	want := row(100)
	if len(rows) != 1 || rows[0].Sequence != 100 || !rows[0].OnHand.Equal(want.OnHand) || !rows[0].Available.Equal(want.Available) || !rows[0].LastMovement.Equal(want.LastMovement) {
		t.Errorf("rows are %+v", rows)
	}
	for of, want := range map[masterdata.PositionKey]int{{}: 6, {Tenant: "shop"}: 6, {Tenant: "none"}: 0, {Location: "S"}: 1, {Item: "other"}: 5, {Item: "other", Location: "3"}: 1} {
		rows, err := stockview.StockRows(t.Context(), p.DB, of)
		storetest.Must(t, err)
		if len(rows) != want || rows == nil {
			t.Errorf("of %+v there are %d rows, want %d", of, len(rows), want)
		}
	}
}
