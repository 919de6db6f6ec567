package workers_test

import (
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/analytics"
	"github.com/composerp/composerp/workers/forecasting"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// Analytics compares forecasts with the demand that forecasting has consumed. A day is the location's own, and closes
// there on the first event of a later one.
func TestForecastsAreHeldAgainstClosedDays(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	storetest.Exec(t, url, `INSERT INTO location (tenant_id, location_id, kind, timezone) VALUES ('acme', 'shop', 'stock', 'America/New_York')`)
	consume := func(w worker.Worker, events ...event.Any) {
		t.Helper()
		if _, err := workertest.Handle(t, db, w, events...); err != nil {
			t.Fatal(err)
		}
	}
	moved := func(kind event.TransactionType, item string, units int64, at time.Time) event.Any {
		q := event.NewDecimal(units)
		return workertest.Event(t, event.InventoryUpdated{
			ItemID: item, LocationID: "shop", OnHand: q, Available: q, Change: q, TransactionID: "x", TransactionType: kind,
		}, func(env *event.Envelope) { env.Timestamp = at })
	}
	measured := func(what string, wantDays int, wantUnits float64) {
		t.Helper()
		a, err := analytics.Accuracy(t.Context(), db, analytics.Question{})
		if err != nil || a.Overall.Days != wantDays || a.Overall.Units != wantUnits {
			t.Errorf("%s: %d days of %v units count, want %d of %v; %v", what, a.Overall.Days, a.Overall.Units, wantDays, wantUnits, err)
		}
	}
	one := event.NewDecimal(1)
	consume(analytics.New(), workertest.Event(t, event.ForecastGenerated{
		ItemID: "cup", LocationID: "shop", ModelType: "BASELINE", Method: "SES", ForecastCount: 2, StartDate: "2024-03-01", EndDate: "2024-03-02",
		DailyDemand: []event.Decimal{one, one}, ErrorStdDev: one,
	}))
	midnight := time.Date(2024, time.March, 2, 5, 0, 0, 0, time.UTC)
	consume(forecasting.New(), moved(event.TransactionSale, "cup", -7, midnight.Add(-time.Second)))
	measured("while the day is open", 0, 0)
	consume(forecasting.New(), moved(event.TransactionReceipt, "jar", 1, midnight))
	measured("closed", 1, 7)
	consume(forecasting.New(), moved(event.TransactionSale, "cup", -2, midnight.Add(-time.Hour)))
	measured("with what came late", 1, 9)
}
