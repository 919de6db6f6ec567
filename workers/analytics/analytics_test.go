package analytics_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/analytics"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// day is noon of a day of March 2024.
func day(n int) time.Time { return time.Date(2024, time.March, n, 12, 0, 0, 0, time.UTC) }

func moved(t testing.TB, kind event.TransactionType, item, units string, at time.Time) event.Any {
	t.Helper()
	q := workertest.Decimal(units)
	return workertest.Event(t, event.InventoryUpdated{
		ItemID: item, LocationID: "shop", OnHand: q, Available: q, Quantity: q, TransactionID: "x", TransactionType: kind,
	}, func(env *event.Envelope) { env.Timestamp = at })
}

func sold(t testing.TB, item string, units int, at time.Time) event.Any {
	t.Helper()
	return moved(t, event.TransactionSale, item, fmt.Sprint(-units), at)
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

// The table of package measure's test, told by events: March 1 is its day 0, and
// the location's 14th is open, on which nothing counts yet.
func story(t testing.TB) []event.Any {
	t.Helper()
	events := []event.Any{moved(t, event.TransactionReceipt, "cup", "100", day(1))}
	for i, units := range []int{0, 4, 0, 2, 0, 0, 6, 4, 2, 9, 0, 4, 4, 50} {
		if units > 0 {
			events = append(events, sold(t, "cup", units, day(1+i)))
		}
	}
	return append(events,
		moved(t, event.TransactionReturn, "cup", "1", day(10).Add(time.Hour)), moved(t, event.TransactionReturn, "cup", "5", day(11)),
		forecast(t, "cup", "2024-03-09", 3, 3, 3, 9, 9), forecast(t, "cup", "2024-03-12", 2, 5, 7, 7, 7),
		sold(t, "jar", 1, day(2)), forecast(t, "jar", "2024-03-14", 1, 1, 1), // of days that are not closed
	)
}

func TestAccuracyOfWhatWasHeard(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	events := story(t)
	for range 2 { // and all of it a second time
		rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for i := 0; i < len(events); i += 5 {
			if said, err := workertest.Handle(t, db, analytics.New(), events[i:min(i+5, len(events))]...); err != nil || len(said) != 0 {
				t.Fatalf("want no word, got %d events and %v", len(said), err)
			}
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
	if _, err := workertest.Handle(t, db, analytics.New(), story(t)...); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		q        analytics.Question
		days     int
		from, to event.Date
	}{
		"seven days unless asked for": {analytics.Question{}, 7, "2024-03-09", "2024-03-13"},
		"from":                        {analytics.Question{From: "2024-03-11", Horizon: 3}, 3, "2024-03-11", "2024-03-13"},
		"to":                          {analytics.Question{To: "2024-03-10", Horizon: 3}, 2, "2024-03-09", "2024-03-10"},
		"one day ahead":               {analytics.Question{Horizon: 1}, 2, "2024-03-09", "2024-03-12"},
		"the tenant":                  {analytics.Question{Of: store.PositionKey{Tenant: "acme"}, Horizon: 1}, 2, "2024-03-09", "2024-03-12"},
		"another tenant":              {analytics.Question{Of: store.PositionKey{Tenant: "other"}}, 0, "", ""},
		"another item":                {analytics.Question{Of: store.PositionKey{Item: "jar"}}, 0, "", ""},
		"another location":            {analytics.Question{Of: store.PositionKey{Location: "stall"}}, 0, "", ""},
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

// A day is the location's own, and closes there on the first event of a later one.
func TestOnlyClosedDaysCount(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	storetest.Exec(t, url, `INSERT INTO location (tenant_id, location_id, kind, timezone) VALUES ('acme', 'shop', 'stock', 'America/New_York')`)
	midnight := time.Date(2024, time.March, 2, 5, 0, 0, 0, time.UTC)
	hear := func(events ...event.Any) (days int, units float64) {
		if _, err := workertest.Handle(t, db, analytics.New(), events...); err != nil {
			t.Fatal(err)
		}
		a, err := analytics.Accuracy(t.Context(), db, analytics.Question{})
		if err != nil {
			t.Fatal(err)
		}
		return a.Overall.Days, a.Overall.Units
	}
	if days, _ := hear(forecast(t, "cup", "2024-03-01", 1, 1), sold(t, "cup", 7, midnight.Add(-time.Second))); days != 0 {
		t.Errorf("%d open days count", days)
	}
	if days, units := hear(moved(t, event.TransactionReceipt, "jar", "1", midnight)); days != 1 || units != 7 {
		t.Errorf("%d days of %v units count, want one of 7", days, units)
	}
	if days, units := hear(sold(t, "cup", 2, midnight.Add(-time.Hour))); days != 1 || units != 9 {
		t.Errorf("with what came late %d days of %v units count, want one of 9", days, units)
	}
}

// What is said again of the same days is what counts, and the latest is found.
func TestTheLastWordCounts(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	hear := func(events ...event.Any) {
		if _, err := workertest.Handle(t, db, analytics.New(), events...); err != nil {
			t.Fatal(err)
		}
	}
	hear(forecast(t, "cup", "2024-03-15", 5, 6), forecast(t, "cup", "2024-03-01", 1, 2), forecast(t, "cup", "2024-03-01", 3, 4), forecast(t, "jar", "2024-03-01", 9))
	hear(forecast(t, "cup", "2024-03-08", 7, 8))
	list, err := db.LatestForecasts(t.Context(), store.PositionKey{})
	if err != nil || len(list) != 2 || list[0].Start != "2024-03-15" || fmt.Sprint(list[0].Daily) != "[5 6]" || list[1].Item != "jar" {
		t.Errorf("the latest are %+v, %v", list, err)
	}
	hear(sold(t, "cup", 3, day(1)), sold(t, "cup", 4, day(2)), sold(t, "cup", 1, day(3)))
	a, err := analytics.Accuracy(t.Context(), db, analytics.Question{})
	if err != nil || len(a.Items) != 2 || a.Items[0].Forecast.RMSSE != 0 {
		t.Errorf("want the second word on the first of March to hold, got %+v, %v", a, err)
	}
}
