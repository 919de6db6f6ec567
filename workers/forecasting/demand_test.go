package forecasting_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/forecasting"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestDemandIsWhatWasSoldAndWhatCameBackByDay(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	h.handle(
		sold(t, "cup", "6", day(1)), sold(t, "cup", "4.5", day(1).Add(time.Hour)), sold(t, "saucer", "1", day(1)),
		sold(t, "jar", "74215", day(1)), returned(t, "jar", "74215", day(1).Add(16*time.Minute)),
		moved(t, event.TransactionReceipt, "cup", "shop", "100", day(1)), moved(t, event.TransactionAdjustment, "cup", "shop", "-3", day(1)),
		moved(t, event.TransactionCount, "cup", "shop", "-2", day(1)), moved(t, event.TransactionTransfer, "cup", "shop", "-2", day(1)),
		moved(t, event.TransactionSale, "cup", "stall", "7", day(2)),
	)
	h.handle(returned(t, "cup", "2", day(2)), sold(t, "cup", "1", day(1))) // the second one is late
	h.want("demand", h.demand(), "cup shop 03-01 11.5 0", "cup shop 03-02 0 2", "jar shop 03-01 74215 74215", "saucer shop 03-01 1 0", "cup stall 03-02 7 0")
}

// An event consumed twice counts once, and the order of events does not matter.
func TestDemandIsTheSameInAnyOrderAndHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	var events []event.Any
	for i := range 60 {
		kind := sold
		if i%5 == 0 {
			kind = returned
		}
		events = append(events, kind(t, []string{"cup", "jar"}[i%2], "3", day(1+i%4)))
	}
	for range 4 {
		rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for i := 0; i < len(events); i += 13 {
			h.handle(events[i:min(i+13, len(events))]...)
		}
	}
	h.want("demand", h.demand(),
		"cup shop 03-01 36 9", "cup shop 03-03 36 9", "jar shop 03-02 36 9", "jar shop 03-04 36 9")
}

// A moment belongs to the day that it is at the location: half past one at night in
// Auckland is the day before in UTC.
func TestADayIsTheLocationsOwn(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	storetest.Exec(t, h.URL, `INSERT INTO location (tenant_id, location_id, kind, timezone) VALUES ('acme', 'shop', 'stock', 'Pacific/Auckland')`)
	storetest.Exec(t, h.URL, `INSERT INTO tenant_setting (tenant_id, forecast_cadence_days) VALUES ('acme', 1)`)
	midnight := time.Date(2024, time.March, 1, 11, 0, 0, 0, time.UTC) // in Auckland
	h.handle(sold(t, "cup", "1", midnight.Add(-time.Second)), sold(t, "cup", "2", midnight.Add(-time.Minute)))
	h.want("no run on the first day", h.runs())
	h.handle(moved(t, event.TransactionSale, "cup", "elsewhere", "5", midnight), sold(t, "cup", "4", midnight))
	h.want("demand", h.demand(), "cup elsewhere 03-01 5 0", "cup shop 03-01 3 0", "cup shop 03-02 4 0")
	h.want("a run of the day that is over in Auckland alone", h.runs(), "shop 03-01 02-29 0 false")
}

func TestForecastsAreDueOnTheCadenceOfClosedDays(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	h.handle(sold(t, "cup", "1", day(1)), sold(t, "cup", "1", day(7).Add(11*time.Hour)))
	h.want("no run before the first week is closed", h.runs())
	h.handle(moved(t, event.TransactionReceipt, "cup", "shop", "100", day(8))) // any event closes a day
	h.want("one run", h.runs(), "shop 03-07 02-29 0 false")
	h.handle(sold(t, "cup", "1", day(5)), sold(t, "cup", "1", day(8)), sold(t, "cup", "1", day(14)))
	h.want("no other by late events and days of the same week", h.runs(), "shop 03-07 02-29 0 false")
	// A shop opens again after weeks, and in the same batch a week passes and another location begins.
	h.handle(sold(t, "cup", "1", day(40)), sold(t, "cup", "1", day(46)), sold(t, "cup", "1", day(47)), moved(t, event.TransactionSale, "cup", "stall", "1", day(47)))
	h.want("one run for the gap, one for the week after it", h.runs(),
		"shop 03-07 02-29 0 false", "shop 04-08 03-07 0 false", "shop 04-15 04-08 0 false")
	storetest.Exec(t, h.URL, `INSERT INTO tenant_setting (tenant_id, forecast_cadence_days) VALUES ('acme', 2)`)
	h.handle(sold(t, "cup", "1", day(49)), sold(t, "cup", "1", day(48))) // turned round: no day goes back
	h.want("calendars", h.table(`SELECT location_id, to_char(open_day, 'MM-DD') AS open, to_char(last_run, 'MM-DD') AS last FROM demand_calendar ORDER BY location_id`),
		"shop 04-18 04-17", "stall 04-16 04-15")
	h.want("the tenant's own cadence", h.runs(),
		"shop 03-07 02-29 0 false", "shop 04-08 03-07 0 false", "shop 04-15 04-08 0 false", "shop 04-17 04-15 0 false")
	if due, err := planning.DueForecasts(t.Context(), h.DB); err != nil || due != 4 {
		t.Errorf("want four runs due, got %d, %v", due, err)
	}
}

// Slots that see days turn at once agree on when, and none waits for ever.
func TestManySlotsCloseADayOnce(t *testing.T) {
	t.Parallel()
	const slots = 6
	h := newEnv(t)
	errs := make(chan error, slots)
	for range slots {
		var events []event.Any
		for d := range 22 {
			for _, location := range []string{"shop", "stall", "store"} {
				events = append(events, moved(t, event.TransactionSale, "cup", location, "1", day(1+d)), moved(t, event.TransactionSale, "jar", location, "1", day(1+d)))
			}
		}
		rand.Shuffle(len(events), func(i, j int) {
			if events[i].Timestamp.Equal(events[j].Timestamp) {
				events[i], events[j] = events[j], events[i]
			}
		})
		go func() {
			_, err := workertest.Handle(t, h.DB, forecasting.New(), events...)
			errs <- err
		}()
	}
	for range slots {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	var want []string
	for _, location := range []string{"shop", "stall", "store"} {
		want = append(want, location+" 03-07 02-29 0 false", location+" 03-14 03-07 0 false", location+" 03-21 03-14 0 false")
	}
	h.want("three runs a location", h.runs(), want...)
	if n := storetest.Value[int](t, h.URL, `SELECT sum(sold) FROM demand`); n != slots*22*6 {
		t.Errorf("%d units are in demand", n)
	}
}

// Slots that open different days of one week at once make one run of it between
// them: who comes second sees what the first has closed.
func TestSlotsAgreeOnWhatIsDue(t *testing.T) {
	t.Parallel()
	const slots, locations = 6, 10
	h := newEnv(t)
	everywhere := func(d int) (events []event.Any) {
		for i := range locations {
			events = append(events, moved(t, event.TransactionSale, "cup", fmt.Sprintf("shop-%d", i), "1", day(d)))
		}
		return events
	}
	h.handle(everywhere(1)...)
	errs := make(chan error, slots)
	for n := range slots {
		events := everywhere(8 + n)
		go func() {
			_, err := workertest.Handle(t, h.DB, forecasting.New(), events...)
			errs <- err
		}()
	}
	for range slots {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if runs := storetest.Value[int](t, h.URL, `SELECT count(*) FROM forecast_run`); runs != locations {
		t.Errorf("%d runs are due at %d locations", runs, locations)
	}
	if open := storetest.Value[int](t, h.URL, `SELECT count(*) FROM demand_calendar WHERE open_day = '2024-03-13'`); open != locations {
		t.Errorf("the last day is open at %d of %d locations", open, locations)
	}
}

// History is demand and closes no day; the first event after it makes one run due, with all of the demand.
func TestHistoryMakesNoForecastDue(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	for d := 1; d <= 21; d++ {
		h.handle(workertest.History(t, sold(t, "cup", "6", day(d))))
	}
	h.want("no run", h.runs(), "")
	if n := storetest.Value[int](t, h.URL, `SELECT sum(sold) FROM demand`); n != 21*6 {
		t.Errorf("%d units are in demand", n)
	}
	h.handle(sold(t, "cup", "6", day(22)))
	h.want("one run", h.runs(), "shop 03-21 02-29 0 false")
	emitted := h.forecasts()
	if len(emitted) != 1 || emitted[0].Metadata.History || emitted[0].Payload.DailyDemand[0].String() != "6" {
		t.Errorf("forecasts are %v", names(emitted))
	}
}
