package forecasting_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/forecasting"
)

func TestTheForecastEvent(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	for d := 1; d <= 14; d++ {
		h.handle(sold(t, "cup", "6", day(d)))
	}
	closing := sold(t, "cup", "6", day(15).Add(3*time.Hour))
	closing.Metadata.CorrelationID, closing.Metadata.Traceparent = "receipt 7", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	closing.Metadata.Replay = 7 // what follows from the forecast makes no call
	closing, err := event.Encode(closing.Envelope, closing.Payload)
	if err != nil {
		t.Fatal(err)
	}
	h.handle(closing)
	emitted := h.forecasts()
	if got := names(emitted); !slices.Equal(got, []string{"cup as of 2024-03-07", "cup as of 2024-03-14"}) {
		t.Fatalf("forecasts are %v", got)
	}
	f := emitted[1]
	p := f.Payload
	if p.ModelType != "BASELINE" || !strings.HasPrefix(p.Method, "SES") || p.ForecastCount != 30 || len(p.DailyDemand) != 30 ||
		p.StartDate != "2024-03-15" || p.EndDate != "2024-04-13" || p.LocationID != "shop" {
		t.Errorf("the forecast is %+v", p)
	}
	for i, units := range p.DailyDemand {
		if units.String() != "6" {
			t.Errorf("on day %d %s units are expected of what sells 6 a day", i, units)
		}
	}
	if !p.ErrorStdDev.IsZero() {
		t.Errorf("what never missed is uncertain by %s", p.ErrorStdDev)
	}
	want := event.Metadata{Source: "forecasting", CorrelationID: "receipt 7", CausationID: closing.ID.String(), Traceparent: closing.Metadata.Traceparent, Replay: 7}
	if f.Metadata != want || !f.Timestamp.Equal(closing.Timestamp) || f.TenantID != closing.TenantID || f.AggregateID != emitted[0].AggregateID {
		t.Errorf("want the time and the traces of the event that closed the day, got %+v", f.Envelope)
	}
	if first := emitted[0].Metadata; first.CorrelationID == "" || first.CorrelationID == "receipt 7" {
		t.Errorf("the other run's correlation is %q", first.CorrelationID)
	}
	if id := event.TimerID("forecasting", "acme\x00cup\x00shop", "2024-03-14"); f.ID != id {
		t.Errorf("the id is %s, want that of item, location and day, %s", f.ID, id)
	}
	h.want("both runs done", h.runs(), "shop 03-07 02-29 1 true", "shop 03-14 03-07 1 true")
	if again := h.forecasts(); len(again) != 0 {
		t.Errorf("and again: %v", names(again))
	}
}

// A late event changes demand, and so the next forecast; what came after the run's
// day is not known to it, even if it is there when the run is made.
func TestAForecastKnowsItsDayAndAllBeforeIt(t *testing.T) {
	t.Parallel()
	on := func(first int) (emitted []event.Of[event.ForecastGenerated]) {
		h := newEnv(t)
		for d := 1; d <= 8; d++ {
			h.handle(sold(t, "cup", "10", day(d)))
		}
		if first == 1 {
			emitted = h.forecasts()
		}
		h.handle(sold(t, "cup", "700", day(9)), sold(t, "cup", "70", day(6)), sold(t, "cup", "10", day(15)))
		return append(emitted, h.forecasts()...)
	}
	level := func(f event.Of[event.ForecastGenerated]) float64 { return f.Payload.DailyDemand[0].InexactFloat64() }
	before := on(1)
	if len(before) != 2 || level(before[0]) != 10 || level(before[1]) < 30 {
		t.Errorf("want ten, and more once the late sales are known, got %v", names(before))
	}
	// The run of the seventh is made when the late event is there, and that of the ninth.
	if after := on(2); len(after) != 2 || level(after[0]) != 20 || after[0].ID != before[0].ID {
		t.Errorf("want a mean of twenty without the ninth, got %s of %s", after[0].Payload.DailyDemand[0], names(after))
	}
}

// An item that has fallen silent is told so, and then no more.
func TestSilentItemsAreForecastToTheEnd(t *testing.T) {
	t.Parallel()
	h := newEnv(t)
	h.handle(sold(t, "cup", "1000", day(1)), sold(t, "jar", "5", day(1)), sold(t, "jar", "5", day(8)))
	for d := 15; d < 230; d += 7 {
		h.handle(sold(t, "jar", "5", day(d)))
	}
	var cups []event.Of[event.ForecastGenerated]
	jars := 0
	for _, f := range h.forecasts() {
		if f.Payload.ItemID == "cup" {
			cups = append(cups, f)
		} else {
			jars++
		}
	}
	if len(cups) != 27 || jars != 32 {
		t.Fatalf("cup was forecast %d times, jar %d times", len(cups), jars)
	}
	first, last := event.Sum(cups[0].Payload.DailyDemand...), event.Sum(cups[26].Payload.DailyDemand...)
	if first.IsZero() || !last.IsZero() {
		t.Errorf("first %s units are expected, at last %s", first, last)
	}
}

// many are sales of a number of items on each of a number of days, and the event that closes the last day.
func many(t testing.TB, h *env, items, days int) {
	t.Helper()
	for d := 1; d <= days; d++ {
		var events []event.Any
		for i := range items {
			events = append(events, sold(t, fmt.Sprintf("item-%04d", i), "3", day(d)))
		}
		h.handle(events...)
	}
	h.handle(sold(t, "item-0000", "3", day(days+1)))
}

// Two processes' timers at once: each item of each run once, each item's runs in order.
func TestTwoTimersDoEachPieceOnce(t *testing.T) {
	t.Parallel()
	const items = 450
	h := newEnv(t)
	storetest.Exec(t, h.URL, `INSERT INTO tenant_setting (tenant_id, forecast_cadence_days) VALUES ('acme', 1)`)
	many(t, h, items, 3)
	h.handle(moved(t, event.TransactionSale, "cup", "stall", "1", day(1)), moved(t, event.TransactionSale, "cup", "stall", "1", day(2)))
	var mu sync.Mutex
	times := map[uuid.UUID]int{}
	timer := func(ctx context.Context) error {
		db, w := storetest.Open(t, h.URL, 2), forecasting.New()
		for {
			emitted, more, err := w.RunTimer(ctx, db)
			if err != nil {
				return err
			}
			mu.Lock()
			for _, e := range emitted {
				times[e.ID]++
			}
			mu.Unlock()
			if due, err := planning.DueForecasts(ctx, db); err != nil || due == 0 && !more {
				return err
			}
		}
	}
	storetest.Concurrently(t, timer, timer, timer)
	for id, n := range times {
		if n != 1 {
			t.Errorf("%s was emitted %d times", id, n)
		}
	}
	if len(times) != 3*items+1 {
		t.Errorf("%d forecasts were emitted, want %d", len(times), 3*items+1)
	}
	h.want("all done", h.runs(), "shop 03-01 02-29 450 true", "shop 03-02 03-01 450 true", "shop 03-03 03-02 450 true", "stall 03-01 02-29 1 true")
	turned := storetest.Value[int](t, h.URL, `
		SELECT count(*) FROM event_log a JOIN event_log b USING (aggregate_id)
		WHERE a.seq < b.seq AND (a.body::json -> 'payload' ->> 'startDate') >= (b.body::json -> 'payload' ->> 'startDate')`)
	if turned != 0 {
		t.Errorf("%d pairs of forecasts are in the wrong order", turned)
	}
}

// A process dies between two pieces, and in the middle of one: what was committed
// stays, what was not is done by the next timer.
func TestARunIsFinishedByTheNextProcess(t *testing.T) {
	t.Parallel()
	const items = 450
	h := newEnv(t)
	many(t, h, items, 1)
	h.handle(sold(t, "item-0000", "3", day(8)))
	first, more, err := forecasting.New().RunTimer(t.Context(), h.DB)
	if err != nil || !more || len(first) != 200 {
		t.Fatalf("the first piece emitted %d events, %v", len(first), err)
	}
	if due, err := planning.DueForecasts(t.Context(), h.DB); err != nil || due != 1 {
		t.Errorf("want the run to be due still, got %d, %v", due, err)
	}
	storetest.Exec(t, h.URL, `CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'died'; END $$`)
	storetest.Exec(t, h.URL, `CREATE TRIGGER die BEFORE UPDATE ON forecast_run FOR EACH ROW EXECUTE FUNCTION die()`)
	if emitted, more, err := forecasting.New().RunTimer(t.Context(), h.DB); err == nil || more || len(emitted) != 0 {
		t.Errorf("want a death and no word, got %d events", len(emitted))
	}
	storetest.Exec(t, h.URL, `DROP TRIGGER die ON forecast_run`)
	if n := storetest.Value[int](t, h.URL, `SELECT count(*) FROM event_log`); n != 200 {
		t.Errorf("%d events are in the log, want those of the first piece", n)
	}
	if rest := h.forecasts(); len(rest) != items-200 || rest[0].Payload.ItemID != "item-0200" {
		t.Errorf("the rest is %d forecasts", len(rest))
	}
	if n := storetest.Value[int](t, h.URL, `SELECT count(DISTINCT event_id) FROM event_log`); n != items {
		t.Errorf("%d events are in the log, want %d", n, items)
	}
}
