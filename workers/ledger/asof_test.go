package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockhistory"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// Of any history, in whatever order it arrived, the stock as of a time is what the events up to it give when they are
// sorted by business time; as of the end it is what the ledger has now. Why tells the same figures.
func TestStockAsOfATimeIsThatOfTheEventsUpToIt(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	arrived := map[string][]event.Any{}
	for range 12 {
		var batch []event.Any
		for range 1 + random.IntN(12) {
			item, n := fmt.Sprint("item-", random.IntN(3)), fmt.Sprint(1+random.IntN(20))
			e := workertest.Sale(t, item, "shop", n)
			switch random.IntN(4) {
			case 0:
				e = workertest.Receipt(t, item, "shop", n)
			case 1:
				e = workertest.Count(t, item, "shop", n)
			}
			e = at(t, e, random.IntN(6), random.IntN(2))
			batch = append(batch, e)
			arrived[item] = append(arrived[item], e)
		}
		handle(t, db, batch...)
	}
	day := workertest.Day.Truncate(24 * time.Hour)
	for item, events := range arrived {
		k := masterdata.PositionKey{Tenant: events[0].TenantID, Item: item, Location: "shop"}
		for minutes := -1; minutes <= 6*60+1; minutes += 30 + random.IntN(30) {
			when := day.Add(time.Duration(minutes) * time.Minute)
			known := slices.DeleteFunc(slices.Clone(events), func(e event.Any) bool { return e.Timestamp.After(when) })
			want := "none"
			if len(known) > 0 {
				want = sortedByTime(known).String()
			}
			got := "none"
			for _, s := range storetest.MustGet(stockhistory.AsOf(t.Context(), db, k, when))(t) {
				got = s.OnHand.String()
			}
			x := storetest.MustGet(stockhistory.Explain(t.Context(), db, stockhistory.Question{PositionKey: k, AsOf: when}))(t)
			if got != want || len(known) > 0 && x.OnHand.String() != want || len(x.Faults) > 0 {
				t.Errorf("%s at %s: %s on hand, why tells %s %v, the events give %s", item, when.Format(time.TimeOnly), got, x.OnHand, x.Faults, want)
			}
		}
		live := storetest.Value[string](t, url, `SELECT on_hand::text FROM position WHERE item_id = $1 AND location_id = 'shop'`, item)
		end := storetest.MustGet(stockhistory.AsOf(t.Context(), db, k, day.Add(24*time.Hour)))(t)
		if len(end) != 1 || end[0].OnHand.String() != live {
			t.Errorf("%s as of the end is %+v, and now %s", item, end, live)
		}
		wantRunningBalance(t, storetest.MustGet(stockhistory.Explain(t.Context(), db, stockhistory.Question{PositionKey: k}))(t), live)
	}
}

// wantRunningBalance holds each movement against the one before it, and the last against the figure.
func wantRunningBalance(t *testing.T, x stockhistory.Explanation, live string) {
	t.Helper()
	var balance event.Decimal
	for i, m := range x.Movements {
		balance = balance.Add(m.Quantity)
		if !m.OnHand.Equal(balance) || m.Sequence != int64(i+1) {
			t.Errorf("movement %d of %s leaves %s, want %s", m.Sequence, x.Item, m.OnHand, balance)
		}
	}
	if balance.String() != live || x.OnHand.String() != live || len(x.Faults) > 0 {
		t.Errorf("the movements of %s give %s, why tells %s, there are %s; %v", x.Item, balance, x.OnHand, live, x.Faults)
	}
}

// What does not add up is told, and what is kept no more is an opening balance and no fault.
func TestWhyTellsWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	handle(t, db, at(t, workertest.Receipt(t, "cup", "shop", "100"), 8, 0), at(t, workertest.Sale(t, "cup", "shop", "6"), 9, 0),
		at(t, workertest.Sale(t, "cup", "shop", "7.5"), 10, 0), at(t, workertest.Sale(t, "cup", "shop", "1"), 11, 0))
	k := masterdata.PositionKey{Tenant: storetest.Value[string](t, url, `SELECT tenant_id FROM position LIMIT 1`), Item: "cup", Location: "shop"}
	of := `position_id = (SELECT id FROM position WHERE item_id = 'cup' AND location_id = 'shop')`
	storetest.Exec(t, url, `INSERT INTO stock (tenant_id, item_id, location_id, on_hand, reserved, available, sequence, last_movement_at, last_movement_type)
		VALUES ($1, 'cup', 'shop', 86.5, 0, 86.5, 3, now(), 'SALE')`, k.Tenant)
	explain := func(q stockhistory.Question) stockhistory.Explanation {
		t.Helper()
		q.PositionKey = k
		return storetest.MustGet(stockhistory.Explain(t.Context(), db, q))(t)
	}
	if x := explain(stockhistory.Question{Last: 2}); len(x.Faults) > 0 || x.Behind != 1 || len(x.Movements) != 2 || x.Before == nil || x.Before.Movements != 2 || x.Before.OnHand.String() != "94" {
		t.Errorf("of the last two it tells %+v", x)
	}
	if x := explain(stockhistory.Question{Last: 1, Before: 3}); len(x.Movements) != 1 || x.Movements[0].Sequence != 2 || x.Before.OnHand.String() != "100" || x.OnHand.String() != "85.5" {
		t.Errorf("of one before the third it tells %+v", x)
	}
	for _, c := range []struct{ breaks, repairs, says string }{
		{`UPDATE stock SET on_hand = 86`, `UPDATE stock SET on_hand = 86.5`, "stock shows 86 on hand after movement 3"},
		{`UPDATE position SET on_hand = 86 WHERE item_id = 'cup' AND location_id = 'shop'`, `UPDATE position SET on_hand = 85.5 WHERE item_id = 'cup' AND location_id = 'shop'`, "the ledger has 86 on hand"},
		{`UPDATE movement SET quantity = -5 WHERE sequence = 2 AND ` + of, `UPDATE movement SET quantity = -6 WHERE sequence = 2 AND ` + of, "movement 2 leaves another balance"},
		{`DELETE FROM movement WHERE sequence < 3 AND ` + of, ``, ""},
		{`DELETE FROM movement WHERE sequence = 4 AND ` + of, ``, "the last one that is kept is number 3"},
	} {
		storetest.Exec(t, url, c.breaks)
		x := explain(stockhistory.Question{})
		if told := strings.Join(x.Faults, "; "); c.says == "" && told != "" || !strings.Contains(told, c.says) {
			t.Errorf("after %s it tells %q, want %q", c.breaks, told, c.says)
		}
		if c.says == "" && (x.Opening == nil || x.Opening.OnHand.String() != "94" || x.Opening.Movements != 2 || x.OnHand.String() != "85.5") {
			t.Errorf("without the first two it tells %+v", x)
		}
		if c.repairs != "" {
			storetest.Exec(t, url, c.repairs)
		}
	}
}
