package analytics_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/analytics"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// day is noon of a day of March 2024.
func day(n int) time.Time { return time.Date(2024, time.March, n, 12, 0, 0, 0, time.UTC) }

// sold is what customers took of an item on a day of that month, and brought back.
func sold(item string, n int, units, returned int64) planning.Demand {
	return planning.Demand{PositionKey: masterdata.PositionKey{Tenant: workertest.Tenant, Item: item, Location: "shop"}, Day: event.DateOf(day(n)),
		Sold: event.NewDecimal(units), Returned: event.NewDecimal(returned)}
}

// happened writes into the account of demand, on behalf of forecasting, and opens a day.
func happened(t testing.TB, db *store.DB, open event.Date, rows ...planning.Demand) {
	t.Helper()
	shop := masterdata.LocationKey{Tenant: workertest.Tenant, Location: "shop"}
	err := db.InTx(t.Context(), func(tx store.Tx) error {
		if _, err := planning.AddDemand(t.Context(), tx, rows, nil); err != nil {
			return err
		}
		calendars, err := planning.LockCalendars(t.Context(), tx, map[masterdata.LocationKey]event.Date{shop: open})
		if err != nil {
			return err
		}
		calendars[shop].Open = open
		return planning.CloseDays(t.Context(), tx, []*planning.Calendar{calendars[shop]}, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func forecast(t testing.TB, item string, start event.Date, units ...int64) event.Any {
	t.Helper()
	daily := make([]event.Decimal, len(units))
	for i, u := range units {
		daily[i] = event.NewDecimal(u)
	}
	return workertest.Event(t, event.ForecastGenerated{
		ItemID: item, LocationID: "shop", ModelType: "BASELINE", Method: "SES", ForecastCount: int64(len(units)), StartDate: start,
		EndDate: start.AddDays(len(units) - 1), DailyDemand: daily, ErrorStdDev: event.NewDecimal(1),
	})
}

// consume has analytics handle events, and emit none.
func consume(t testing.TB, db *store.DB, events ...event.Any) {
	t.Helper()
	if said, err := workertest.Handle(t, db, analytics.New(), events...); err != nil || len(said) != 0 {
		t.Fatalf("want no word, got %d events and %v", len(said), err)
	}
}

// The table of package measure's test: March 1 is its day 0, and the location's
// 14th is open, on which nothing counts yet.
func story(t testing.TB, db *store.DB) []event.Any {
	t.Helper()
	var rows []planning.Demand
	for i, units := range []int64{0, 4, 0, 2, 0, 0, 6, 4, 2, 9, 0, 4, 4, 50} {
		if units > 0 {
			rows = append(rows, sold("cup", 1+i, units, 0))
		}
	}
	happened(t, db, "2024-03-14", append(rows, sold("jar", 2, 1, 0))...)
	happened(t, db, "2024-03-14", sold("cup", 10, 0, 1), sold("cup", 11, 0, 5))
	return []event.Any{
		forecast(t, "cup", "2024-03-09", 3, 3, 3, 9, 9), forecast(t, "cup", "2024-03-12", 2, 5, 7, 7, 7),
		forecast(t, "jar", "2024-03-14", 1, 1, 1), // of days that are not closed
		movement(t), // from the time when analytics kept an account of its own
	}
}

func movement(t testing.TB) event.Any {
	t.Helper()
	one := event.NewDecimal(1)
	return workertest.Event(t, event.InventoryUpdated{
		ItemID: "cup", LocationID: "shop", OnHand: one, Available: one, Change: one, TransactionID: "x", TransactionType: event.TransactionReturn,
	}, func(env *event.Envelope) { env.Timestamp = day(9) })
}

func TestAccuracyOfForecasts(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	events := story(t, db)
	for range 2 { // and all of it a second time
		rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for i := 0; i < len(events); i += 2 {
			consume(t, db, events[i:min(i+2, len(events))]...)
		}
	}
	a, err := analytics.Accuracy(t.Context(), db, analytics.Question{Horizon: 3})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Items) != 1 || a.From != "2024-03-09" || a.To != "2024-03-13" {
		t.Fatalf("measured are %+v", a)
	}
	cup := a.Items[0]
	if cup.Item != "cup" || cup.Method != "SES" || cup.Days != 5 || cup.Units != 18 || a.Overall.Items != 1 {
		t.Errorf("the cup is %+v", cup)
	}
	for name, got := range map[string][2]float64{
		"RMSSE":          {cup.Forecast.RMSSE, math.Sqrt(40.0 / 5 / (184.0 / 11))},
		"MASE":           {cup.Forecast.MASE, 12.0 / 5 / (36.0 / 11)},
		"bias":           {cup.Forecast.Bias, -2.0 / 5},
		"naive RMSSE":    {cup.Naive.RMSSE, math.Sqrt(68.0 / 5 / (184.0 / 11))},
		"seasonal RMSSE": {cup.Seasonal.RMSSE, math.Sqrt(104.0 / 5 / (184.0 / 11))},
		"overall RMSSE":  {a.Overall.Forecast.RMSSE, cup.Forecast.RMSSE},
	} {
		if math.Abs(got[0]-got[1]) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, got[0], got[1])
		}
	}
}

func TestWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	consume(t, db, story(t, db)...)
	for name, c := range map[string]struct {
		q        analytics.Question
		days     int
		from, to event.Date
	}{
		"seven days unless asked for": {analytics.Question{}, 7, "2024-03-09", "2024-03-13"},
		"from":                        {analytics.Question{From: "2024-03-11", Horizon: 3}, 3, "2024-03-11", "2024-03-13"},
		"to":                          {analytics.Question{To: "2024-03-10", Horizon: 3}, 2, "2024-03-09", "2024-03-10"},
		"one day ahead":               {analytics.Question{Horizon: 1}, 2, "2024-03-09", "2024-03-12"},
		"the tenant":                  {analytics.Question{Of: masterdata.PositionKey{Tenant: "acme"}, Horizon: 1}, 2, "2024-03-09", "2024-03-12"},
		"another tenant":              {analytics.Question{Of: masterdata.PositionKey{Tenant: "other"}}, 0, "", ""},
		"another item":                {analytics.Question{Of: masterdata.PositionKey{Item: "jar"}}, 0, "", ""},
		"another location":            {analytics.Question{Of: masterdata.PositionKey{Location: "stall"}}, 0, "", ""},
		"before all":                  {analytics.Question{To: "2024-03-01"}, 0, "", ""},
		"after all":                   {analytics.Question{From: "2024-03-14"}, 0, "", ""},
	} {
		a, err := analytics.Accuracy(t.Context(), db, c.q)
		if err != nil {
			t.Fatal(err)
		}
		if a.Overall.Days != c.days || a.From != c.from || a.To != c.to {
			t.Errorf("%s: %d days from %s to %s, want %d from %s to %s", name, a.Overall.Days, a.From, a.To, c.days, c.from, c.to)
		}
	}
}

// What is said again of the same days is what counts, and the latest is found.
func TestTheLastWordCounts(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	consume(t, db, forecast(t, "cup", "2024-03-15", 5, 6), forecast(t, "cup", "2024-03-01", 1, 2), forecast(t, "cup", "2024-03-01", 3, 4), forecast(t, "jar", "2024-03-01", 9))
	consume(t, db, forecast(t, "cup", "2024-03-08", 7, 8))
	list, err := planning.LatestForecasts(t.Context(), db, masterdata.PositionKey{})
	if err != nil || len(list) != 2 || list[0].Start != "2024-03-15" || fmt.Sprint(list[0].Daily) != "[5 6]" || list[1].Item != "jar" {
		t.Errorf("the latest are %+v, %v", list, err)
	}
	happened(t, db, "2024-03-03", sold("cup", 1, 3, 0), sold("cup", 2, 4, 0), sold("cup", 3, 1, 0))
	a, err := analytics.Accuracy(t.Context(), db, analytics.Question{})
	if err != nil || len(a.Items) != 2 || a.Items[0].Forecast.RMSSE != 0 {
		t.Errorf("want the second word on the first of March to hold, got %+v, %v", a, err)
	}
}
