package eventlog_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/storetest"
)

// A sale is in its location's currency, which is the tenant's where it has none of its own.
func TestASaleIsInItsLocationsCurrency(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	sale := func(location, currency string) event.Any {
		return storetest.MustGet(event.Encode(event.Envelope{ID: uuid.New(), TenantID: "shop", AggregateID: "s", Timestamp: time.Now()}, event.SaleCompleted{
			SaleID: "s", ItemID: "cup", LocationID: location, Quantity: event.NewDecimal(1), Amount: event.NewDecimal(2), Currency: currency, Timestamp: time.Now(),
		}))(t)
	}
	admit := func(events ...event.Any) []eventlog.Admission {
		t.Helper()
		verdicts := storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, events, true))(t)
		for i, v := range verdicts {
			if errors.Is(v.Refusal(events[i]), eventlog.ErrCurrency) != (v == eventlog.ForeignCurrency) {
				t.Errorf("%s is refused with %v", v, v.Refusal(events[i]))
			}
		}
		return verdicts
	}
	const ok, out = eventlog.Admitted, eventlog.ForeignCurrency
	early := sale("bern", "EUR")
	if got := admit(early, sale("rome", ""), sale("rome", "USD")); !slices.Equal(got, []eventlog.Admission{ok, ok, ok}) {
		t.Errorf("without currencies: %v", got)
	}
	p.Exec(`INSERT INTO tenant_setting (tenant_id, currency) VALUES ('shop', 'EUR')`)
	p.Exec(`INSERT INTO location (tenant_id, location_id, kind, currency) VALUES ('shop', 'bern', 'stock', 'CHF'), ('shop', 'rome', 'stock', ''), ('other', 'rome', 'stock', 'USD')`)
	got := admit(sale("bern", "CHF"), sale("bern", "EUR"), sale("bern", ""), sale("rome", "CHF"), sale("rome", "EUR"), sale("new", "EUR"), sale("new", "USD"))
	if !slices.Equal(got, []eventlog.Admission{ok, out, ok, out, ok, ok, out}) {
		t.Errorf("with currencies: %v", got)
	}
	verdicts := storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, []event.Any{sale("bern", "EUR"), early}, true))(t)
	if !slices.Equal(verdicts, []eventlog.Admission{out, eventlog.Duplicate}) {
		t.Errorf("what is in the log is judged again: %v", verdicts)
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != 7 {
		t.Errorf("the log has %d events, want 7", n)
	}
}
