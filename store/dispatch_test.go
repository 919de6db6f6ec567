package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/storetest"
)

// What is known of an order decides its status, whatever came when: each letter is a fact.
func TestAnOrdersStatusFollowsFromTheFacts(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	at := time.Date(2026, time.March, 9, 12, 0, 0, 0, time.UTC)
	facts := map[rune]func(context.Context, store.Tx, store.OrderKey) error{
		'c': func(ctx context.Context, tx store.Tx, k store.OrderKey) error {
			_, err := tx.NoteOrderCreated(ctx, k, "potter", []byte(`{}`))
			return err
		},
		'a': func(ctx context.Context, tx store.Tx, k store.OrderKey) error {
			_, err := tx.NoteOrderApproved(ctx, k, at)
			return err
		},
		'x': func(ctx context.Context, tx store.Tx, k store.OrderKey) error {
			_, err := tx.NoteOrderCancelled(ctx, k, at)
			return err
		},
		'b': func(ctx context.Context, tx store.Tx, k store.OrderKey) error { return tx.BeginSending(ctx, k) },
		'h': func(ctx context.Context, tx store.Tx, k store.OrderKey) error { return tx.LeaveToHand(ctx, k) },
		's': func(ctx context.Context, tx store.Tx, k store.OrderKey) error {
			return tx.RecordSent(ctx, k, store.Receipt{Status: 200})
		},
		'f': func(ctx context.Context, tx store.Tx, k store.OrderKey) error {
			return tx.RecordUnsent(ctx, k, "away", false)
		},
		'r': func(ctx context.Context, tx store.Tx, k store.OrderKey) error {
			return tx.RecordUnsent(ctx, k, "no", true)
		},
	}
	for history, want := range map[string]store.DispatchStatus{
		"c": store.DispatchWaiting, "a": store.DispatchWaiting, "ca": store.DispatchWaiting,
		"cab": store.DispatchSending, "cabf": store.DispatchSending, "cabfb": store.DispatchSending,
		"cabs": store.DispatchSent, "cabsf": store.DispatchSent, "cabsr": store.DispatchSent, "cabrs": store.DispatchSent,
		"cabr": store.DispatchRefused, "cabrb": store.DispatchSending, "cabrbf": store.DispatchSending, "cabfbr": store.DispatchRefused,
		"cah": store.DispatchByHand, "cahx": store.DispatchCancelledInDoubt,
		"x": store.DispatchCancelled, "xca": store.DispatchCancelled, "cax": store.DispatchCancelled, "cabrx": store.DispatchCancelled,
		"cabx": store.DispatchCancelledInDoubt, "cabfx": store.DispatchCancelledInDoubt, "cabrbx": store.DispatchCancelledInDoubt,
		"cabsx": store.DispatchCancelledAfterSending, "cabxs": store.DispatchCancelledAfterSending,
	} {
		key := store.OrderKey{Tenant: "acme", Order: history}
		due := map[store.DispatchStatus]bool{store.DispatchWaiting: true, store.DispatchSending: true, store.DispatchRefused: true}
		err := db.InTx(t.Context(), func(tx store.Tx) error {
			for _, f := range history {
				if err := facts[f](t.Context(), tx, key); err != nil {
					return err
				}
			}
			d, err := tx.NoteOrderApproved(t.Context(), key, at)
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

// What an order said first is what is sent; a supplier's endpoint is the one of now, of its own tenant.
func TestAnOrderIsSentAsItWasFirstSaid(t *testing.T) {
	t.Parallel()
	url := storetest.URL(t)
	db := storetest.Open(t, url, 2)
	storetest.Exec(t, url, `INSERT INTO supplier (tenant_id, supplier_id, lead_time_days, endpoint) VALUES
		('acme', 'potter', 3, 'http://potter'), ('acme', 'smith', 3, 'http://smith'), ('other', 'potter', 3, 'http://other')`)
	key := store.OrderKey{Tenant: "acme", Order: "o-1"}
	err := db.InTx(t.Context(), func(tx store.Tx) error {
		_, one := tx.NoteOrderCreated(t.Context(), key, "potter", []byte(`{"n": 1}`))
		d, two := tx.NoteOrderCreated(t.Context(), key, "smith", []byte(`{"n":2}`))
		if want := (store.Dispatch{Status: store.DispatchWaiting, Supplier: "potter", Request: `{"n": 1}`, Endpoint: "http://potter"}); d != want {
			t.Errorf("want %+v, got %+v", want, d)
		}
		return errors.Join(one, two)
	})
	if err != nil {
		t.Error(err)
	}
}
