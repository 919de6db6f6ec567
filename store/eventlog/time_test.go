package eventlog_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/storetest"
)

// An event is admitted within the bounds of business time of its source, else of its tenant. What is in the log is not
// judged again by admission.
func TestBusinessTimeHasBounds(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	set := func(ahead, behind int) {
		t.Helper()
		setting := masterdata.TenantSetting{Tenant: "shop", MaxAheadHours: ahead, MaxBehindDays: behind}
		storetest.MustGet(masterdata.SetTenantSettings(t.Context(), p.DB, []masterdata.TenantSetting{setting}))(t)
	}
	now := time.Now()
	sale := func(item string, at time.Duration) event.Any {
		e := storetest.Sale(item)
		e.Timestamp, e.Metadata.Source = now.Add(at).UTC().Truncate(time.Microsecond), "till-7"
		return e
	}
	admit := func(events ...event.Any) []eventlog.Admission {
		t.Helper()
		return storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, events, true))(t)
	}
	old, soon, far := sale("old", -20*365*24*time.Hour), sale("soon", 35*time.Hour), sale("far", 37*time.Hour)
	const ok, out = eventlog.Admitted, eventlog.Untimely
	if got := admit(old, far, soon); !slices.Equal(got, []eventlog.Admission{ok, out, ok}) {
		t.Errorf("by default: %v", got)
	}
	set(48, 30)
	late, other := sale("late", -31*24*time.Hour), sale("other", 49*time.Hour)
	if got := admit(far, late, other, late); !slices.Equal(got, []eventlog.Admission{ok, out, out, out}) {
		t.Errorf("with bounds of its own: %v", got)
	}
	changed := old
	changed.Body = append(slices.Clone(old.Body), ' ')
	set(0, 1)
	if got := admit(old, far, changed, late); !slices.Equal(got, []eventlog.Admission{eventlog.Duplicate, eventlog.Duplicate, eventlog.Conflict, out}) {
		t.Errorf("what is in the log: %v", got)
	}
	till := sale("till", 2*time.Hour)
	edits := []masterdata.Edit[masterdata.SourceSetting]{{
		Of:     masterdata.SourceSetting{Tenant: "shop", Source: till.Metadata.Source},
		Change: func(s *masterdata.SourceSetting) { s.MaxAheadHours, s.MaxBehindDays = 3, 40 },
	}}
	storetest.MustGet(masterdata.EditSourceSettings(t.Context(), p.DB, edits, false))(t)
	if got := admit(till, other, late, sale("older", -41*24*time.Hour)); !slices.Equal(got, []eventlog.Admission{ok, out, ok, out}) {
		t.Errorf("with bounds of its source: %v", got)
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != 5 {
		t.Errorf("the log has %d events, want 5", n)
	}
}

// What comes from the log is held to the bound ahead by the database's clock, whatever the process's says, and to no
// bound behind.
func TestTheLogIsHeldToTheBoundAhead(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	setting := masterdata.TenantSetting{Tenant: "shop", MaxBehindDays: 1}
	storetest.MustGet(masterdata.SetTenantSettings(t.Context(), p.DB, []masterdata.TenantSetting{setting}))(t)
	var b eventlog.Bounds
	for _, c := range []struct {
		at      time.Duration
		in, ask bool
	}{{-9000 * time.Hour, true, true}, {-time.Hour, true, false}, {time.Minute, true, true}, {35 * time.Hour, true, true}, {37 * time.Hour, false, true}} {
		e := storetest.Sale("cup")
		e.TenantID = "shop of others"
		if c.at < 0 {
			e.TenantID = "shop"
		}
		e.Timestamp = time.Now().Add(c.at)
		if got := b.MayBeAhead([]event.Any{e}); got != c.ask {
			t.Errorf("%s: it may be ahead: %t", c.at, got)
		}
		err := p.DB.InTx(t.Context(), func(tx store.Tx) error { return b.Check(t.Context(), tx, []event.Any{e}) })
		if errors.Is(err, eventlog.ErrBusinessTime) == c.in || c.in && err != nil {
			t.Errorf("%s: got %v", c.at, err)
		}
	}
}
