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

// An event is owed until each of those asked about has it in its inbox, or dead.
func TestOwing(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 4)
	ledger := storetest.Found(inbox.Subscribe(t.Context(), p.DB, "ledger", []string{"SALE_COMPLETED"}))(t)
	storetest.Must2(inbox.Subscribe(t.Context(), p.DB, "view", []string{"INVENTORY_UPDATED", "SALE_COMPLETED"}))(t)
	storetest.Must2(inbox.Subscribe(t.Context(), p.DB, "gone", []string{"SALE_COMPLETED"}))(t)
	begin := storetest.Found(eventlog.End(t.Context(), p.DB))(t)
	owed := func(since int64) string {
		t.Helper()
		o := storetest.Found(eventlog.FindNewestPending(t.Context(), p.DB, since, math.MaxInt64, []string{"ledger", "view"}))(t)
		if o == nil {
			return ""
		}
		return o.Consumer + " " + o.Type
	}
	if got := owed(begin); got != "" {
		t.Errorf("of nothing %s is owed", got)
	}
	e := storetest.Sale("a")
	storetest.Must2(eventlog.AdmitOnce(t.Context(), p.DB, []event.Any{e}, true))(t)
	end := storetest.Found(eventlog.End(t.Context(), p.DB))(t)
	if got := owed(begin); got == "" || end <= begin {
		t.Errorf("of a sale %q is owed; the log went from %d to %d", got, begin, end)
	}
	if got := owed(end); got != "" {
		t.Errorf("past the log's end %s is owed", got)
	}
	if o := storetest.Found(eventlog.FindNewestPending(t.Context(), p.DB, begin, begin, []string{"ledger"}))(t); o != nil {
		t.Errorf("up to where the log ended before, %+v is owed", o)
	}
	storetest.Must(t, p.InTx(t.Context(), func(tx store.Tx) error {
		_, err := inbox.Claim(t.Context(), tx, ledger, []uuid.UUID{e.ID})
		return err
	}))
	if got := owed(begin); got != "view SALE_COMPLETED" {
		t.Errorf("when the ledger is done %q is owed", got)
	}
	p.Exec(`INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at)
		VALUES ($1, 'view', $2, '', '', '', '', 1, '{}', '', now())`, uuid.New(), e.ID)
	if got := owed(begin); got != "" {
		t.Errorf("when it is dead for the other %q is owed", got)
	}
	for _, gone := range []string{"redriven_at", "missed_at"} {
		p.Exec(`UPDATE dead_letter SET redriven_at = NULL, missed_at = NULL`)
		p.Exec(`UPDATE dead_letter SET ` + gone + ` = now()`)
		if got := owed(begin); got != "view SALE_COMPLETED" {
			t.Errorf("when its dead letter is no more by %s, %q is owed", gone, got)
		}
	}
	p.NewTicker().Tick()
	storetest.Must2(inbox.Subscribe(t.Context(), p.DB, "late", []string{"SALE_COMPLETED"}))(t)
	if o := storetest.Found(eventlog.FindNewestPending(t.Context(), p.DB, begin, math.MaxInt64, []string{"late"}))(t); o != nil {
		t.Errorf("who subscribed after it owes %+v", o)
	}
}

func TestNotAdmitted(t *testing.T) {
	t.Parallel()
	p := storetest.NewEnv(t, 2)
	here, away := storetest.Sale("a"), storetest.Sale("b")
	storetest.Must2(eventlog.AdmitOnce(t.Context(), p.DB, []event.Any{here}, true))(t)
	missing := storetest.Found(eventlog.NotAdmitted(t.Context(), p.DB, []uuid.UUID{here.ID, away.ID}))(t)
	if len(missing) != 1 || missing[0] != away.ID {
		t.Errorf("missing are %v, want %s", missing, away.ID)
	}
	if none := storetest.Found(eventlog.NotAdmitted(t.Context(), p.DB, nil))(t); len(none) != 0 {
		t.Errorf("of none %v are missing", none)
	}
}
