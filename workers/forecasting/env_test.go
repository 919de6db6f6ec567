package forecasting_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/forecasting"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// env is a database and the worker on it.
type env struct{ *workertest.Env }

func newEnv(t testing.TB) *env {
	t.Helper()
	return &env{workertest.NewDatabaseEnv(t)}
}

// day is noon of a day of March 2024; day(32) is the first of April.
func day(n int) time.Time { return time.Date(2024, time.March, n, 12, 0, 0, 0, time.UTC) }

// moved is the ledger's event of a movement. A sale is given as the units sold.
func moved(t testing.TB, kind event.TransactionType, item, location, units string, at time.Time) event.Any {
	t.Helper()
	q := workertest.Decimal(units)
	if kind == event.TransactionSale {
		q = q.Neg()
	}
	return workertest.Event(t, event.InventoryUpdated{
		ItemID: item, LocationID: location, OnHand: q, Available: q, Change: q, TransactionID: "x", TransactionType: kind,
	}, func(env *event.Envelope) { env.Timestamp = at })
}

func sold(t testing.TB, item, units string, at time.Time) event.Any {
	t.Helper()
	return moved(t, event.TransactionSale, item, "shop", units, at)
}

func returned(t testing.TB, item, units string, at time.Time) event.Any {
	t.Helper()
	return moved(t, event.TransactionReturn, item, "shop", units, at)
}

// handle lets the worker handle one batch.
func (h *env) handle(events ...event.Any) {
	h.Helper()
	emitted, err := workertest.Handle(h, h.DB, forecasting.New(), events...)
	if err != nil || len(emitted) != 0 {
		h.Fatalf("want no event, got %d events and %v", len(emitted), err)
	}
}

// table is what a query gives, a line a row, the columns separated by blanks.
func (h *env) table(query string) string {
	h.Helper()
	return storetest.Value[string](h, h.URL, `SELECT coalesce(string_agg(array_to_string(ARRAY(SELECT value FROM json_each_text(row_to_json(q))), ' '), E'\n'), '') FROM (`+query+`) q`)
}

func (h *env) demand() string {
	h.Helper()
	return h.table(`SELECT item_id, location_id, to_char(day, 'MM-DD') AS day, sold, returned FROM demand ORDER BY location_id, item_id, day`)
}

// runs are the runs that became due, in order.
func (h *env) runs() string {
	h.Helper()
	return h.table(`SELECT location_id, to_char(as_of, 'MM-DD') AS as_of, to_char(previous, 'MM-DD') AS previous, made, done FROM forecast_run ORDER BY location_id, as_of`)
}

func (h *env) want(what, got string, lines ...string) {
	h.Helper()
	if want := strings.Join(lines, "\n"); got != want {
		h.Errorf("want %s\n%s\ngot\n%s", what, want, got)
	}
}

// forecasts lets the timer do all that is due and gives the forecasts.
func (h *env) forecasts() []event.Of[event.ForecastGenerated] {
	h.Helper()
	var forecasts []event.Of[event.ForecastGenerated]
	for more := true; more; {
		var emitted []event.Any
		var err error
		if emitted, more, err = forecasting.New().RunTimer(h.Context(), h.DB); err != nil {
			h.Fatal(err)
		}
		for _, e := range emitted {
			of, ok := event.As[event.ForecastGenerated](e)
			if !ok {
				h.Fatalf("the timer emitted %s", e.Type)
			}
			forecasts = append(forecasts, of)
		}
	}
	return forecasts
}

// names are the items forecast, each with its run's day.
func names(forecasts []event.Of[event.ForecastGenerated]) []string {
	var list []string
	for _, f := range forecasts {
		list = append(list, fmt.Sprintf("%s as of %s", f.Payload.ItemID, f.Payload.StartDate.AddDays(-1)))
	}
	slices.Sort(list)
	return list
}
