package calibration_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/analytics/calibration"
	"github.com/composerp/composerp/workers/worker/workertest"
)

var of = masterdata.PositionKey{Tenant: workertest.Tenant}

// Thirty closed days from 1 March: the last ten, 21 to 30, are held back. The cup sells 4 a day, and 10 on the 23rd.
// Its forecasts begin on the 20th, which is not held back, on the 21st, the 28th and the 29th; of the last only
// cycles of up to two days have closed. The jug sold on the 2nd alone: it is left out.
func fill(t *testing.T, db *store.DB) {
	t.Helper()
	var rows []planning.Demand
	add := func(item string, day int, units int64) {
		rows = append(rows, planning.Demand{PositionKey: masterdata.PositionKey{Tenant: workertest.Tenant, Item: item, Location: "shop"},
			Day: event.Date("2024-03-01").AddDays(day - 1), Sold: event.NewDecimal(units)})
	}
	for day := 1; day <= 30; day++ {
		units := int64(4)
		if day == 23 {
			units = 10
		}
		add("cup", day, units)
	}
	add("jug", 2, 5)
	shop := masterdata.LocationKey{Tenant: workertest.Tenant, Location: "shop"}
	err := db.InTx(t.Context(), func(tx store.Tx) error {
		if _, err := planning.AddDemand(t.Context(), tx, rows, nil); err != nil {
			return err
		}
		calendars, err := planning.LockCalendars(t.Context(), tx, map[masterdata.LocationKey]event.Date{shop: "2024-03-01"})
		if err != nil {
			return err
		}
		calendars[shop].Open = "2024-03-31"
		if err := planning.CloseDays(t.Context(), tx, []*planning.Calendar{calendars[shop]}, nil); err != nil {
			return err
		}
		var forecasts []planning.Forecast
		for _, f := range []struct {
			item  string
			start event.Date
		}{{"cup", "2024-03-20"}, {"cup", "2024-03-21"}, {"cup", "2024-03-28"}, {"cup", "2024-03-29"}, {"jug", "2024-03-21"}} {
			forecasts = append(forecasts, planning.Forecast{Tenant: workertest.Tenant, Item: f.item, Location: "shop", Method: "SES", Start: f.start,
				Daily: []float64{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4}, ErrorStdDev: event.NewDecimal(2)})
		}
		return planning.KeepForecasts(t.Context(), tx, forecasts)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// point is 4 a day, and 6 a day where 99 % are promised.
func point(expected planning.ExpectedDemand, leadTimeDays int, serviceLevel float64) float64 {
	at := expected.Daily[0]
	if serviceLevel == 0.99 {
		at += expected.ErrorStdDev
	}
	return at * float64(leadTimeDays)
}

func TestCyclesByHand(t *testing.T) {
	t.Parallel()
	db := workertest.NewDatabaseEnv(t).DB
	if _, err := calibration.Measure(t.Context(), db, of, point); !errors.Is(err, calibration.ErrNothing) || !strings.Contains(err.Error(), "no demand yet") {
		t.Fatalf("of nothing: %v", err)
	}
	fill(t, db)
	r := storetest.MustGet(calibration.Measure(t.Context(), db, of, point))(t)
	if r.From != "2024-03-21" || r.To != "2024-03-30" || r.Items != 1 {
		t.Errorf("%d items from %s to %s", r.Items, r.From, r.To)
	}
	for i, want := range []struct {
		cycles        int
		demand        float64
		cycle, filled float64 // where 80 % are promised; of 99 % all is kept
	}{
		{3, 12, 1, 1},                 // a day from each of the three
		{3, 24, 1, 1},                 // two
		{2, 18 + 12, 0.5, 1 - 6.0/30}, // three, the 23rd among them: 18 of 12 on hand, and 12 of 12
		{1, 26, 0, 1 - 6.0/26},        // five, from the 21st alone
		{1, 34, 0, 1 - 6.0/34},        // seven
		{1, 46, 0, 1 - 6.0/46},        // ten, the 30th the last
	} {
		l := r.LeadTimes[i]
		first, last := l.Achieved[0], l.Achieved[len(l.Achieved)-1]
		if l.Cycles != want.cycles || l.Demand != want.demand || first.CycleService != want.cycle || math.Abs(first.Filled-want.filled) > 1e-9 ||
			last.CycleService != 1 || last.Filled != 1 || last.Points != float64(6*l.Days*l.Cycles) {
			t.Errorf("%d days: %+v, want %+v", l.Days, l, want)
		}
	}
	if l := r.LeadTimes[6]; l.Days != 14 || l.Cycles != 0 {
		t.Errorf("no cycle of 14 days has closed: %+v", l)
	}
	if _, err := calibration.Measure(t.Context(), db, masterdata.PositionKey{Tenant: workertest.Tenant, Item: "jug"}, point); !errors.Is(err, calibration.ErrNothing) {
		t.Errorf("of an item that is not sold any more: %v", err)
	}
}
