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
			_, err := purchasing.NoteOrders(ctx, tx, []purchasing.OrderFact{{OrderKey: k, Supplier: "potter", Request: []byte(`{}`)}})
			return err
		},
		'a': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			_, err := purchasing.NoteOrders(ctx, tx, []purchasing.OrderFact{{OrderKey: k, ApprovedAt: at}})
			return err
		},
		'x': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			_, err := purchasing.NoteOrderCancelled(ctx, tx, k, at)
			return err
		},
		'b': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			return purchasing.BeginSending(ctx, tx, []purchasing.OrderKey{k})
		},
		'h': func(ctx context.Context, tx store.Tx, k purchasing.OrderKey) error {
			return purchasing.LeaveToHand(ctx, tx, []purchasing.OrderKey{k})
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
			states, err := purchasing.NoteOrders(t.Context(), tx, []purchasing.OrderFact{{OrderKey: key, ApprovedAt: at}})
			d := states[key]
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
		_, one := purchasing.NoteOrders(t.Context(), tx, []purchasing.OrderFact{{OrderKey: key, Supplier: "potter", Request: []byte(`{"n": 1}`)}})
		states, two := purchasing.NoteOrders(t.Context(), tx, []purchasing.OrderFact{{OrderKey: key, Supplier: "smith", Request: []byte(`{"n":2}`)}})
		d := states[key]
		if want := (purchasing.Dispatch{Status: purchasing.DispatchWaiting, Supplier: "potter", Request: `{"n": 1}`, Endpoint: "http://potter"}); d != want {
			t.Errorf("want %+v, got %+v", want, d)
		}
		return errors.Join(one, two)
	})
	if err != nil {
		t.Error(err)
	}
}

// Facts about several orders are one statement, and each order has its own.
func TestFactsOfSeveralOrdersAreNotedTogether(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	at := time.Date(2026, time.March, 9, 12, 0, 0, 0, time.UTC)
	key := func(order string) purchasing.OrderKey { return purchasing.OrderKey{Tenant: "acme", Order: order} }
	err := db.InTx(t.Context(), func(tx store.Tx) error {
		note := func(facts ...purchasing.OrderFact) map[purchasing.OrderKey]purchasing.Dispatch {
			states, err := purchasing.NoteOrders(t.Context(), tx, facts)
			storetest.Must(t, err)
			return states
		}
		note(purchasing.OrderFact{OrderKey: key("b"), ApprovedAt: at})
		states := note(purchasing.OrderFact{OrderKey: key("a"), Supplier: "potter", Request: []byte(`{"a": "\""}`)},
			purchasing.OrderFact{OrderKey: key("b"), Supplier: "smith", Request: []byte(`{}`)}, purchasing.OrderFact{OrderKey: key("c"), ApprovedAt: at})
		if len(states) != 3 || states[key("a")].Due() || !states[key("b")].Due() || states[key("c")].Due() {
			t.Errorf("only b is due: %+v", states)
		}
		if got := states[key("a")].Request; got != `{"a": "\""}` {
			t.Errorf("the request of a is %s", got)
		}
		storetest.Must(t, purchasing.BeginSending(t.Context(), tx, []purchasing.OrderKey{key("b")}))
		storetest.Must(t, purchasing.LeaveToHand(t.Context(), tx, []purchasing.OrderKey{key("a"), key("c")}))
		states = note(purchasing.OrderFact{OrderKey: key("a")}, purchasing.OrderFact{OrderKey: key("b")}, purchasing.OrderFact{OrderKey: key("c")})
		for order, want := range map[string]purchasing.DispatchStatus{"a": purchasing.DispatchByHand, "b": purchasing.DispatchSending, "c": purchasing.DispatchByHand} {
			if got := states[key(order)].Status; got != want {
				t.Errorf("%s is %s, want %s", order, got, want)
			}
		}
		return nil
	})
	storetest.Must(t, err)
}
