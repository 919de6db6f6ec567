package procurement_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestAnOrderIsSentOnceBothEventsCame(t *testing.T) {
	t.Parallel()
	s := newShop(t, "")
	for order, events := range map[string][]event.Any{
		"o-1": {created(t, "o-1"), approved(t, "o-1")},
		"o-2": {approved(t, "o-2"), created(t, "o-2")},
		"o-3": {created(t, "o-3"), approved(t, "o-3"), approved(t, "o-3")},
		"o-4": {created(t, "o-4"), approved(t, "o-5"), created(t, "o-6"), approved(t, "o-4")},
		"o-7": {approved(t, "o-7"), created(t, "o-7"), created(t, "o-7")},
	} {
		t.Run(order, func(t *testing.T) {
			potter := newSupplier(t)
			s.endpoint(potter.URL + "/orders")
			for _, e := range events {
				s.handle(e, e)
				s.handle(e)
			}
			calls := potter.called()
			if len(calls) != 1 || calls[0].key != order+":send" || calls[0].path != "/orders" || calls[0].contentType != "application/json" {
				t.Fatalf("want one call with the order's key, got %+v", calls)
			}
			var got, want any
			storetest.Must(t, json.Unmarshal(calls[0].body, &got))
			storetest.Must(t, json.Unmarshal([]byte(`{"purchaseOrderId":"`+order+`","poNumber":"PO-2024-000007","tenantId":"acme","supplierId":"potter","locationId":"shop",
				"orderedAt":"2024-03-01T10:00:00Z","totalAmount":15,"lines":[{"itemId":"cup","quantity":12,"unitPrice":1.25},{"itemId":"clay","quantity":0.5}]}`), &want))
			if !reflect.DeepEqual(got, want) {
				t.Errorf("want the protocol's body, got %s", calls[0].body)
			}
			d := s.wantStatus(order, "SENT")
			if d.Reference != "S-77" || d.Promised.String != "2026-03-09" || d.AnswerStatus.Int64 != 200 || d.Attempts != 1 || !d.Recent {
				t.Errorf("want the answer kept, got %+v", d)
			}
		})
	}
}

func TestOneOfTheTwoIsNotEnough(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	s.handle(created(t, "o-1"), approved(t, "o-2"))
	s.wantStatus("o-1", "WAITING")
	s.wantStatus("o-2", "WAITING")
	if calls := potter.called(); len(calls) != 0 {
		t.Errorf("want no call, got %+v", calls)
	}
}

// However the two events of many orders fall together, each order is called for once.
func TestTwoAtOnceCallOnce(t *testing.T) {
	t.Parallel()
	const orders = 25
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	for i := range orders {
		order := fmt.Sprintf("o-%d", i)
		var run []func(context.Context) error
		for _, e := range []event.Any{created(t, order), approved(t, order)} {
			run = append(run, func(ctx context.Context) error {
				_, err := s.w.Handle(ctx, s.DB, workertest.Delivery(e))
				return err
			})
		}
		storetest.Concurrently(t, run...)
	}
	if n := storetest.Value[int](t, s.URL, `SELECT count(*) FROM dispatch WHERE status = 'SENT' AND attempts = 1`); n != orders {
		t.Errorf("want %d orders sent at the first attempt, got %d", orders, n)
	}
	if n := len(potter.called()); n != orders {
		t.Errorf("want %d calls, got %d", orders, n)
	}
}

// Two copies of one event may both see that the order is due: both call with
// the same key, and what is recorded first stays.
func TestTwoCallsWithOneKeyAreRecordedOnce(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	s.handle(created(t, "o-1"))
	both := make(chan struct{})
	potter.answer = func(w http.ResponseWriter, _ *http.Request, call int) {
		if call == 2 {
			close(both)
		}
		<-both
		fmt.Fprintf(w, `{"supplierReference":"S-%d"}`, call)
	}
	e := approved(t, "o-1")
	handle := func(ctx context.Context) error {
		_, err := s.w.Handle(ctx, s.DB, workertest.Delivery(e))
		return err
	}
	storetest.Concurrently(t, handle, handle)
	calls := potter.called()
	if len(calls) != 2 || calls[0].key != calls[1].key || string(calls[0].body) != string(calls[1].body) {
		t.Errorf("want the same call twice, got %+v", calls)
	}
	first := s.wantStatus("o-1", "SENT")
	if first.Attempts != 2 {
		t.Errorf("want two attempts, got %+v", first)
	}
	if n := storetest.Value[int](t, s.URL, `SELECT count(*) FROM inbox WHERE event_id = $1`, e.ID); n != 1 {
		t.Errorf("want the event done once, got %d", n)
	}
}

// While one call is under way another is made, and answered first: its answer stays, whatever the first one brings.
func TestTheFirstRecordStays(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]int{"a late answer": http.StatusOK, "a late refusal": http.StatusBadRequest, "a late failure": http.StatusBadGateway} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			potter := newSupplier(t)
			s := newShop(t, potter.URL)
			potter.answer = func(w http.ResponseWriter, _ *http.Request, call int) {
				if call == 1 {
					if _, err := workertest.Handle(t, s.DB, s.w, approved(t, "o-1")); err != nil {
						t.Error(err)
					}
					w.WriteHeader(late)
				}
				fmt.Fprintf(w, `{"supplierReference":"S-%d"}`, call)
			}
			s.handle(created(t, "o-1"))
			if _, err := workertest.Handle(t, s.DB, s.w, approved(t, "o-1")); (err == nil) != (late == http.StatusOK) {
				t.Fatal(err)
			}
			if d := s.wantStatus("o-1", "SENT"); d.Reference != "S-2" || d.Failure != "" || d.Attempts != 2 {
				t.Errorf("want the first record, got %+v", d)
			}
		})
	}
}

// Between the supplier's answer and its record everything may be lost: the same call is made again, and
// recorded once.
func TestALostRecordIsCalledForAgain(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	s.handle(created(t, "o-1"))
	e := approved(t, "o-1")
	storetest.Exec(t, s.URL, `ALTER TABLE dispatch ADD CONSTRAINT lost CHECK (sent_at IS NULL)`)
	if _, err := workertest.Handle(t, s.DB, s.w, e); err == nil {
		t.Fatal("want the record to fail")
	}
	s.wantStatus("o-1", "SENDING")
	storetest.Exec(t, s.URL, `ALTER TABLE dispatch DROP CONSTRAINT lost`)
	s.handle(e, e)
	calls := potter.called()
	if len(calls) != 2 || calls[0].key != calls[1].key || string(calls[0].body) != string(calls[1].body) {
		t.Errorf("want the same call twice, got %+v", calls)
	}
	if d := s.wantStatus("o-1", "SENT"); d.Attempts != 2 || d.Reference != "S-77" || d.AnswerStatus.Int64 != 409 {
		t.Errorf("want the supplier's answer to a known order, got %+v", d)
	}
}

// A process that dies while the supplier works leaves an attempt, and nothing else.
func TestADeathWithinTheCall(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	s.handle(created(t, "o-1"))
	dying, die := context.WithCancel(t.Context())
	potter.answer = func(w http.ResponseWriter, r *http.Request, call int) {
		if call == 1 {
			die()
			<-r.Context().Done()
			return
		}
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, confirmed)
	}
	e := approved(t, "o-1")
	if _, err := s.w.Handle(dying, s.DB, workertest.Delivery(e)); !errors.Is(err, context.Canceled) {
		t.Fatalf("want the death, got %v", err)
	}
	if d := s.wantStatus("o-1", "SENDING"); d.Attempts != 1 {
		t.Errorf("want the attempt counted, got %+v", d)
	}
	s.handle(e)
	if calls := potter.called(); len(calls) != 2 || calls[0].key != calls[1].key {
		t.Errorf("want the same call twice, got %+v", calls)
	}
	s.wantStatus("o-1", "SENT")
}

// An order whose supplier can not be called is a person's, and stays it.
func TestWithoutAnEndpointAPersonSends(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"no endpoint": true, "no supplier": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, "")
			if !known {
				storetest.Exec(t, s.URL, `DELETE FROM supplier`)
			}
			s.handle(created(t, "o-1"), approved(t, "o-1"))
			s.wantStatus("o-1", "BY_HAND")
			if !strings.Contains(s.log.String(), "to be sent by hand") {
				t.Errorf("want it said, got %s", s.log)
			}
			potter := newSupplier(t)
			s.endpoint(potter.URL)
			s.handle(approved(t, "o-1"))
			if calls := potter.called(); len(calls) != 0 {
				t.Errorf("want no second sending, got %+v", calls)
			}
			s.handle(cancelled(t, "o-1"))
			s.wantStatus("o-1", "CANCELLED_IN_DOUBT")
		})
	}
}

func TestACancelledOrderIsNotSent(t *testing.T) {
	t.Parallel()
	potter := newSupplier(t)
	s := newShop(t, potter.URL)
	for i, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {2, 0, 1}} {
		id := fmt.Sprintf("o-%d", i)
		events := []event.Any{cancelled(t, id), created(t, id), approved(t, id)}
		for _, i := range order {
			s.handle(events[i])
		}
		if calls := potter.called(); len(calls) != 0 {
			t.Errorf("%v: want no call, got %+v", order, calls)
		}
		s.wantStatus(id, "CANCELLED")
		if s.log.Len() > 0 {
			t.Errorf("want no warning, got %s", s.log)
		}
	}
}
