package workers_test

import (
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/misdated"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers"
	"github.com/composerp/composerp/workers/worker/workertest"
)

// shop is a database whose tenant has bounds wide enough for a till's clock that is years ahead, as there were none.
type shop struct {
	*testing.T
	url string
	db  *store.DB
}

func newShop(t *testing.T) *shop {
	t.Helper()
	url := storetest.URL(t)
	s := &shop{t, url, storetest.Open(t, url, 2)}
	s.bound(9 * 365 * 24)
	return s
}

func (s *shop) bound(hours int) {
	s.Helper()
	setting := masterdata.TenantSetting{Tenant: workertest.Tenant, MaxAheadHours: hours, ExpiryWarningDays: 30}
	storetest.MustGet(masterdata.SetTenantSettings(s.Context(), s.db, []masterdata.TenantSetting{setting}))(s)
}

// books lets the ledger book events, a batch each, and the fleet's other workers take what it emits.
func (s *shop) books(events ...event.Any) {
	s.Helper()
	pending := events
	for len(pending) > 0 {
		e := pending[0]
		pending = pending[1:]
		for _, w := range workers.Fleet(workers.Config{}) {
			if !slices.Contains(w.Types(), e.Type) || !slices.Contains([]string{"ledger", "forecasting", "lots", "stockview", "replenishment"}, w.Name()) {
				continue
			}
			emitted, err := workertest.Handle(s, s.db, w, e)
			storetest.Must(s, err)
			pending = append(pending, emitted...)
		}
	}
}

func (s *shop) at(e event.Any, at time.Time) event.Any {
	s.Helper()
	e.Timestamp = at.UTC().Truncate(time.Microsecond)
	e, err := event.Encode(e.Envelope, e.Payload)
	storetest.Must(s, err)
	return e
}

func (s *shop) text(query string) string {
	s.Helper()
	return storetest.Value[string](s, s.url, query)
}

// What events dated years ahead have moved is found and corrected: days go on, the sum of demand stays, a count sets
// the stock, and nothing of it is changed twice or by a rehearsal.
func TestWhatIsMisdatedIsCorrected(t *testing.T) {
	t.Parallel()
	for _, counted := range []bool{false, true} {
		s := newShop(t)
		now := time.Now()
		ahead := now.AddDate(8, 0, 0)
		s.books(s.at(workertest.Receipt(t, "cup", "shop", "100"), now.AddDate(0, 0, -20)), s.at(workertest.Sale(t, "cup", "shop", "3"), now.AddDate(0, 0, -10)))
		s.books(s.at(workertest.Sale(t, "cup", "shop", "5"), ahead))
		if counted {
			s.books(s.at(workertest.Count(t, "cup", "shop", "90"), ahead.Add(time.Hour)))
		}
		s.bound(36)
		const state = `SELECT concat_ws(' ', (SELECT open_day FROM demand_calendar), (SELECT day FROM lot_day), (SELECT sum(sold) FROM demand), (SELECT max(day) FROM demand),
			(SELECT counted_at FROM position WHERE location_id = 'shop'), (SELECT latest_at FROM replenishment_state), (SELECT count(*) FROM forecast_run), (SELECT count(corrected_to) FROM misdated_movement))`
		before := s.text(state)
		if h := storetest.MustGet(misdated.ReadHealth(t.Context(), s.db))(t); h.Calendars != 1 || h.Movements != map[bool]int{false: 1, true: 2}[counted] {
			t.Errorf("before: %+v", h)
		}
		to := now.Add(-time.Hour).UTC().Truncate(time.Second)
		rehearsed := storetest.MustGet(misdated.Correct(t.Context(), s.db, to, true))(t)
		if after := s.text(state); after != before {
			t.Errorf("a rehearsal has changed\n%s to\n%s", before, after)
		}
		c := storetest.MustGet(misdated.Correct(t.Context(), s.db, to, false))(t)
		movements := map[bool]int{false: 2, true: 4}[counted]
		if c.Movements != movements || c.Demand != 1 || c.Calendars != 2 || c.Positions != 1 || len(c.Recount) != map[bool]int{false: 0, true: 1}[counted] || c.Movements != rehearsed.Movements || c.Forecasts != rehearsed.Forecasts {
			t.Errorf("rehearsed %+v, corrected %+v", rehearsed, c)
		}
		if h := storetest.MustGet(misdated.ReadHealth(t.Context(), s.db))(t); h != (misdated.Health{}) {
			t.Errorf("after: %+v", h)
		}
		day := to.Format(time.DateOnly)
		if got := s.text(`SELECT concat_ws(' ', (SELECT open_day FROM demand_calendar), (SELECT day FROM lot_day), (SELECT sum(sold) FROM demand), (SELECT max(day) FROM demand),
			(SELECT count(*) FROM forecast_run WHERE as_of > now()))`); got != day+" "+day+" 8 "+day+" 0" {
			t.Errorf("days and demand are %s", got)
		}
		if list := storetest.MustGet(misdated.List(t.Context(), s.db))(t); len(list) != movements/2 || list[0].CorrectedTo == nil || !list[0].CorrectedTo.Equal(to) {
			t.Errorf("listed are %+v", list)
		}
		again := storetest.MustGet(misdated.Correct(t.Context(), s.db, to.Add(-time.Hour), false))(t)
		if again.Movements+again.Demand+again.Calendars+again.Forecasts+again.Lots+again.Positions != 0 {
			t.Errorf("again: %+v", again)
		}
		// What comes now moves stock, and a count is right whatever the wrong times have booked.
		onHand := func() string {
			return s.text(`SELECT on_hand::text FROM position WHERE location_id = 'shop'`)
		}
		s.books(s.at(workertest.Count(t, "cup", "shop", "50"), now.Add(-30*time.Minute)), s.at(workertest.Sale(t, "cup", "shop", "1"), now))
		if got := onHand(); got != "49" {
			t.Errorf("after a count of 50 and a sale of 1 there are %s", got)
		}
		s.books(s.at(workertest.Count(t, "cup", "shop", "60"), now.Add(-45*time.Minute)))
		if got := onHand(); got != "49" {
			t.Errorf("after a late count there are %s", got)
		}
		if got := s.text(`SELECT coalesce(string_agg(on_hand::text, ' '), '') FROM position p WHERE on_hand <> (SELECT sum(quantity) FROM movement m WHERE m.position_id = p.id)`); got != "" {
			t.Errorf("positions that are not their movements: %s", got)
		}
	}
}
