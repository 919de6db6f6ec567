package eventlog_test

import (
	"math"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/inbox"
	"github.com/composerp/composerp/store/storetest"
)

// An event is pending until each given consumer has it in its inbox or among its dead letters.
func TestFindNewestPending(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ledger := storetest.MustGet(inbox.Subscribe(t.Context(), p.DB, "ledger", []string{"SALE_COMPLETED"}))(t)
	storetest.MustGet(inbox.Subscribe(t.Context(), p.DB, "view", []string{"INVENTORY_UPDATED", "SALE_COMPLETED"}))(t)
	storetest.MustGet(inbox.Subscribe(t.Context(), p.DB, "gone", []string{"SALE_COMPLETED"}))(t)
	begin := storetest.MustGet(eventlog.End(t.Context(), p.DB))(t)
	pending := func(since int64) string {
		t.Helper()
		o := storetest.MustGet(eventlog.FindNewestPending(t.Context(), p.DB, since, math.MaxInt64, []string{"ledger", "view"}))(t)
		if o == nil {
			return ""
		}
		return o.Consumer + " " + o.Type
	}
	if got := pending(begin); got != "" {
		t.Errorf("of nothing %s is pending", got)
	}
	e := storetest.Sale("a")
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, []event.Any{e}, true))(t)
	end := storetest.MustGet(eventlog.End(t.Context(), p.DB))(t)
	if got := pending(begin); got == "" || end <= begin {
		t.Errorf("of a sale %q is pending; the log went from %d to %d", got, begin, end)
	}
	if got := pending(end); got != "" {
		t.Errorf("past the log's end %s is pending", got)
	}
	if o := storetest.MustGet(eventlog.FindNewestPending(t.Context(), p.DB, begin, begin, []string{"ledger"}))(t); o != nil {
		t.Errorf("up to where the log ended before, %+v is pending", o)
	}
	storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error {
		_, err := inbox.Claim(t.Context(), tx, ledger, []uuid.UUID{e.ID})
		return err
	}))
	if got := pending(begin); got != "view SALE_COMPLETED" {
		t.Errorf("when the ledger is done %q is pending", got)
	}
	p.Exec(`INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at)
		VALUES ($1, 'view', $2, '', '', '', '', 1, '{}', '', now())`, uuid.New(), e.ID)
	if got := pending(begin); got != "" {
		t.Errorf("when it is dead for the other %q is pending", got)
	}
	for _, gone := range []string{"redriven_at", "missed_at"} {
		p.Exec(`UPDATE dead_letter SET redriven_at = NULL, missed_at = NULL`)
		p.Exec(`UPDATE dead_letter SET ` + gone + ` = now()`)
		if got := pending(begin); got != "view SALE_COMPLETED" {
			t.Errorf("when its dead letter is no more by %s, %q is pending", gone, got)
		}
	}
	p.NewTicker().Tick()
	storetest.MustGet(inbox.Subscribe(t.Context(), p.DB, "late", []string{"SALE_COMPLETED"}))(t)
	if o := storetest.MustGet(eventlog.FindNewestPending(t.Context(), p.DB, begin, math.MaxInt64, []string{"late"}))(t); o != nil {
		t.Errorf("a consumer that subscribed after it has %+v pending", o)
	}
}

func TestNotAdmitted(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	here, away := storetest.Sale("a"), storetest.Sale("b")
	storetest.MustGet(eventlog.AdmitOnce(t.Context(), p.DB, []event.Any{here}, true))(t)
	missing := storetest.MustGet(eventlog.NotAdmitted(t.Context(), p.DB, []uuid.UUID{here.ID, away.ID}))(t)
	if len(missing) != 1 || missing[0] != away.ID {
		t.Errorf("missing are %v, want %s", missing, away.ID)
	}
	if none := storetest.MustGet(eventlog.NotAdmitted(t.Context(), p.DB, nil))(t); len(none) != 0 {
		t.Errorf("of none %v are missing", none)
	}
}
