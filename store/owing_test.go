package store_test

import (
	"math"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
)

// An event is owed until each of those asked about has it in its inbox, or dead.
func TestOwing(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 4)
	ledger := found(p.Subscribe(t.Context(), "ledger", []string{"SALE_COMPLETED"}))(t)
	must2(p.Subscribe(t.Context(), "view", []string{"INVENTORY_UPDATED", "SALE_COMPLETED"}))(t)
	must2(p.Subscribe(t.Context(), "gone", []string{"SALE_COMPLETED"}))(t)
	begin := found(p.LogEnd(t.Context()))(t)
	owed := func(since int64) string {
		t.Helper()
		o := found(p.Owing(t.Context(), since, math.MaxInt64, []string{"ledger", "view"}))(t)
		if o == nil {
			return ""
		}
		return o.Consumer + " " + o.Type
	}
	if got := owed(begin); got != "" {
		t.Errorf("of nothing %s is owed", got)
	}
	e := sale("a")
	must2(p.Admit(t.Context(), []event.Any{e}, true))(t)
	end := found(p.LogEnd(t.Context()))(t)
	if got := owed(begin); got == "" || end <= begin {
		t.Errorf("of a sale %q is owed; the log went from %d to %d", got, begin, end)
	}
	if got := owed(end); got != "" {
		t.Errorf("past the log's end %s is owed", got)
	}
	if o := found(p.Owing(t.Context(), begin, begin, []string{"ledger"}))(t); o != nil {
		t.Errorf("up to where the log ended before, %+v is owed", o)
	}
	must(t, p.InTx(t.Context(), func(tx store.Tx) error {
		_, err := tx.Claim(t.Context(), ledger, []uuid.UUID{e.ID})
		return err
	}))
	if got := owed(begin); got != "view SALE_COMPLETED" {
		t.Errorf("when the ledger is done %q is owed", got)
	}
	p.exec(`INSERT INTO dead_letter (id, consumer, event_id, message_id, type, routing_key, error, attempt, headers, body, died_at)
		VALUES ($1, 'view', $2, '', '', '', '', 1, '{}', '', now())`, uuid.New(), e.ID)
	if got := owed(begin); got != "" {
		t.Errorf("when it is dead for the other %q is owed", got)
	}
	for _, gone := range []string{"redriven_at", "missed_at"} {
		p.exec(`UPDATE dead_letter SET redriven_at = NULL, missed_at = NULL`)
		p.exec(`UPDATE dead_letter SET ` + gone + ` = now()`)
		if got := owed(begin); got != "view SALE_COMPLETED" {
			t.Errorf("when its dead letter is no more by %s, %q is owed", gone, got)
		}
	}
	p.newTicker().tick()
	must2(p.Subscribe(t.Context(), "late", []string{"SALE_COMPLETED"}))(t)
	if o := found(p.Owing(t.Context(), begin, math.MaxInt64, []string{"late"}))(t); o != nil {
		t.Errorf("who subscribed after it owes %+v", o)
	}
}

func TestNotAdmitted(t *testing.T) {
	t.Parallel()
	p := newPlace(t, 2)
	here, away := sale("a"), sale("b")
	must2(p.Admit(t.Context(), []event.Any{here}, true))(t)
	missing := found(p.NotAdmitted(t.Context(), []uuid.UUID{here.ID, away.ID}))(t)
	if len(missing) != 1 || missing[0] != away.ID {
		t.Errorf("missing are %v, want %s", missing, away.ID)
	}
	if none := found(p.NotAdmitted(t.Context(), nil))(t); len(none) != 0 {
		t.Errorf("of none %v are missing", none)
	}
}
