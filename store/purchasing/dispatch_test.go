package purchasing_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/storetest"
)

// The facts of an order decide its status, in whatever order they came: each letter is a fact.
func TestAnOrdersStatusFollowsFromTheFacts(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	at := time.Date(2026, time.March, 9, 12, 0, 0, 0, time.UTC)
	facts := map[rune]func(context.Context, store.Tx, purchasing.OrderKey) error{
		'c': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			_, err := purchasing.NoteOrderCreated(ctx, tx, k, "potter", []byte(`{}`))
			return err
		},
		'a': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			_, err := purchasing.NoteOrderApproved(ctx, tx, k, at)
			return err
		},
		'x': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			_, err := purchasing.NoteOrderCancelled(ctx, tx, k, at)
			return err
		},
		'b': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			return purchasing.BeginSending(ctx, tx, k)
		},
		'h': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			return purchasing.LeaveToHand(ctx, tx, k)
		},
		's': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			return purchasing.RecordSent(ctx, tx, k, purchasing.Receipt{Status: 200})
		},
		'f': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			return purchasing.RecordUnsent(ctx, tx, k, "away", false)
		},
		'r': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			return purchasing.RecordUnsent(ctx, tx, k, "no", true)
		},
	}
	for history, want := range map[string]purchasing.DispatchStatus{
		"c": purchasing.DispatchWaiting, "a": purchasing.DispatchWaiting, "ca": purchasing.DispatchWaiting,
		"cab": purchasing.DispatchSending, "cabf": purchasing.DispatchSending, "cabfb": purchasing.DispatchSending,
		"cabs": purchasing.DispatchSent, "cabsf": purchasing.DispatchSent, "cabsr": purchasing.DispatchSent, "cabrs": purchasing.DispatchSent,
		"cabr": purchasing.DispatchRefused, "cabrb": purchasing.DispatchSending, "cabrbf": purchasing.DispatchSending, "cabfbr": purchasing.DispatchRefused,
		"cah": purchasing.DispatchByHand, "cahx": purchasing.DispatchCancelledInDoubt,
		"x": purchasing.DispatchCancelled, "xca": purchasing.DispatchCancelled, "cax": purchasing.DispatchCancelled, "cabrx": purchasing.DispatchCancelled,
		"cabx": purchasing.DispatchCancelledInDoubt, "cabfx": purchasing.DispatchCancelledInDoubt, "cabrbx": purchasing.DispatchCancelledInDoubt,
		"cabsx": purchasing.DispatchCancelledAfterSending, "cabxs": purchasing.DispatchCancelledAfterSending,
	} {
		key := purchasing.OrderKey{Tenant: "acme", Order: history}
		due := map[purchasing.DispatchStatus]bool{purchasing.DispatchWaiting: true, purchasing.DispatchSending: true, purchasing.DispatchRefused: true}
		err := db.InTx(t.Context(), func(tx store.Tx) error {
			for _, f := range history {
				if err := facts[f](t.Context(), tx, key); err != nil {
					return err
				}
			}
			d, err := purchasing.NoteOrderApproved(t.Context(), tx, key, at)
			if d.Status != want || d.Due() != (due[want] && strings.Contains(history, "c")) {
				t.Errorf("%s: want %s, got %s, due %t", history, want, d.Status, d.Due())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// The first request is the one sent; a supplier's endpoint is the current one, of its own tenant.
func TestAnOrdersRequestNeverChanges(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	storetest.Exec(t, url, `INSERT INTO supplier (tenant_id, supplier_id, lead_time_days, endpoint) VALUES
		('acme', 'potter', 3, 'http://potter'), ('acme', 'smith', 3, 'http://smith'), ('other', 'potter', 3, 'http://other')`)
	key := purchasing.OrderKey{Tenant: "acme", Order: "o-1"}
	err := db.InTx(t.Context(), func(tx store.Tx) error {
		_, one := purchasing.NoteOrderCreated(t.Context(), tx, key, "potter", []byte(`{"n": 1}`))
		d, two := purchasing.NoteOrderCreated(t.Context(), tx, key, "smith", []byte(`{"n":2}`))
		if want := (purchasing.Dispatch{Status: purchasing.DispatchWaiting, Supplier: "potter", Request: `{"n": 1}`, Endpoint: "http://potter"}); d != want {
			t.Errorf("want %+v, got %+v", want, d)
		}
		return errors.Join(one, two)
	})
	if err != nil {
		t.Error(err)
	}
}
