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

// An event is admitted within its tenant's bounds of business time. What is in the log is not judged again.
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
		e.Timestamp = now.Add(at).UTC().Truncate(time.Microsecond)
		return e
	}
	admit := func(events ...event.Any) []eventlog.Admission {
		t.Helper()
		verdicts := storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, events, true))(t)
		var odd error
		storetest.Must(t, p.DB.InTx(t.Context(), func(tx store.Tx) error { odd = eventlog.CheckTimes(t.Context(), tx, events); return nil }))
		if errors.Is(odd, eventlog.ErrBusinessTime) != slices.Contains(verdicts, eventlog.Untimely) {
			t.Errorf("admission says %v, and a worker says %v", verdicts, odd)
		}
		return verdicts
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
	verdicts := storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, []event.Any{old, far, changed, late}, true))(t)
	if !slices.Equal(verdicts, []eventlog.Admission{eventlog.Duplicate, eventlog.Duplicate, eventlog.Conflict, out}) {
		t.Errorf("what is in the log: %v", verdicts)
	}
	if n := storetest.One[int](t, p.SQL(), `SELECT count(*) FROM event_log`); n != 3 {
		t.Errorf("the log has %d events, want 3", n)
	}
	logged := late
	logged.LogSeq = 1
	storetest.Must(t, p.DB.InTx(t.Context(), func(tx store.Tx) error { return eventlog.CheckTimes(t.Context(), tx, []event.Any{logged}) }))
}
