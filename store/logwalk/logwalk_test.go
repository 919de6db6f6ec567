package logwalk_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/logwalk"
	"github.com/composerp/composerp/store/storetest"
)

// A walk reads every event once, in log order, over parts of the log without events, and only the types that are asked
// for.
func TestTheWholeLogInOrder(t *testing.T) {
	t.Parallel()
	h := storetest.NewEnv(t, 2)
	var ids []uuid.UUID
	for i, e := range storetest.Sales(7) {
		if i == 4 { // numbers that were drawn and never committed
			h.Exec(`SELECT setval('event_log_seq', 90000)`)
		}
		h.Append(e)
		ids = append(ids, e.ID)
	}
	walk := func(q logwalk.Query) (got []uuid.UUID) {
		t.Helper()
		err := logwalk.Each(t.Context(), h.DB, q, func(e logwalk.Event) error {
			if e.Type != event.TypeSaleCompleted || e.Version == "" || e.Tenant == "" || e.Seq == 0 || len(e.Body) == 0 {
				t.Errorf("%+v", e)
			}
			got = append(got, e.ID)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	var read, all int64
	if got := walk(logwalk.Query{Progress: func(r, a int64) { read, all = r, a }}); !slices.Equal(got, ids) || read != all || all < 90000 {
		t.Errorf("read %v, want %v; the last progress is %d of %d", got, ids, read, all)
	}
	if got := walk(logwalk.Query{Types: []event.Type{event.TypeSaleCompleted}}); len(got) != 7 {
		t.Errorf("of its type there are %d", len(got))
	}
	if got := walk(logwalk.Query{Types: []event.Type{event.TypeRuleChanged}}); len(got) != 0 {
		t.Errorf("of another type there are %d", len(got))
	}
	enough := errors.New("enough")
	if err := logwalk.Each(t.Context(), h.DB, logwalk.Query{}, func(logwalk.Event) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the caller's error is lost: %v", err)
	}
}
