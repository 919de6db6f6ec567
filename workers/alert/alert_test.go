package alert_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/notifications"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/alert"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/webcall"
	"github.com/composerp/composerp/workers/worker/workertest"
)

func TestWithoutAURLItIsWrittenDown(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	var log bytes.Buffer
	w := alert.New(alert.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	isLow, lot := low(t, "3"), expiring(t)
	if said, err := workertest.Handle(t, db, w, isLow, lot, isLow); err != nil || len(said) != 0 {
		t.Fatalf("want silence, got %d events, %v", len(said), err)
	}
	if _, err := workertest.Handle(t, db, w, lot); err != nil {
		t.Fatal(err)
	}
	rows, err := notifications.List(t.Context(), db, workertest.Tenant, false, 10)
	if err != nil || len(rows) != 2 {
		t.Fatalf("want two notices, got %+v, %v", rows, err)
	}
	slices.SortFunc(rows, func(a, b notifications.Notification) int { return strings.Compare(a.Type, b.Type) })
	n := rows[0]
	if n.Summary != "cup at shop is low: 3 available, threshold 10." || n.About != "cup at shop" || n.Channel != "log" || !n.Delivered ||
		n.EventID != isLow.ID || n.Tenant != workertest.Tenant || !n.OccurredAt.Equal(workertest.Day) || n.AttemptedAt.Before(workertest.Day.AddDate(1, 0, 0)) || n.Answer == "" {
		t.Errorf("want what, about what, when and to whom, got %+v", n)
	}
	if n = rows[1]; n.Summary != "Lot L-1 of milk at shop expires on 2024-03-09: 2.5 left." || n.About != "milk at shop, lot L-1" {
		t.Errorf("want the lot, got %+v", n)
	}
	if !strings.Contains(log.String(), "cup at shop is low") || !strings.Contains(log.String(), "Lot L-1 of milk") {
		t.Errorf("want both in the log, got %s", &log)
	}
}

func TestAWebhookIsTold(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	db := storetest.DB(t)
	w := alert.New(alert.Config{WebhookURL: hook.URL + "/hook"})
	e := low(t, "0")
	if _, err := workertest.Handle(t, db, w, e, e); err != nil {
		t.Fatal(err)
	}
	posts := hook.received()
	if len(posts) != 1 || posts[0].path != "POST /hook" || posts[0].key != e.ID.String()+":alert" || posts[0].contentType != "application/json" {
		t.Fatalf("want one post with the event's key, got %+v", posts)
	}
	var got, want any
	_ = json.Unmarshal(posts[0].body, &got)
	_ = json.Unmarshal([]byte(`{"text":"cup at shop is low: 0 available, threshold 10.","about":"cup at shop","eventId":"`+e.ID.String()+`",
		"eventType":"INVENTORY_LOW_STOCK","tenantId":"acme","timestamp":"2024-03-01T10:00:00Z",
		"payload":{"itemId":"cup","locationId":"shop","available":0,"threshold":10}}`), &want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("want the documented body, got %s", posts[0].body)
	}
	if got := rows(t, db); !slices.Equal(got, []string{"webhook delivered i 200"}) {
		t.Errorf("want it kept, got %q", got)
	}
}

// Each of two channels is notified; while one fails the other is not notified again.
func TestOneFailsTheOtherIsNotifiedOnce(t *testing.T) {
	t.Parallel()
	for name, swap := range map[string]bool{"the webhook fails": false, "the alertmanager fails": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hook, manager := newReceiver(t), newReceiver(t)
			failing, well := hook, manager
			if swap {
				failing, well = manager, hook
			}
			url := storetest.URL(t)
			db := storetest.Open(t, url, 8)
			signer := storetest.MustGet(webcall.NewSigner([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}))(t)
			w := alert.New(alert.Config{WebhookURL: hook.URL, AlertmanagerURL: manager.URL, Signer: signer})
			e := low(t, "3")
			failing.answers(http.StatusBadGateway)
			for range 2 {
				endWaits(t, url)
				if _, err := workertest.Handle(t, db, w, e); err == nil || errors.Is(err, worker.ErrRejected) || !strings.Contains(err.Error(), "502") {
					t.Fatalf("want to try again, got %v", err)
				}
			}
			if got := rows(t, db); len(got) != 2 || !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "undelivered ii") && strings.Contains(s, "502") }) {
				t.Errorf("want both rows, one undelivered at the second try, got %q", got)
			}
			// Its circuit is open: it is not called, and that is no try.
			if _, err := workertest.Handle(t, db, w, e); !errors.Is(err, worker.ErrCircuitOpen) || len(failing.received()) != 2 {
				t.Fatalf("want no call, got %d and %v", len(failing.received()), err)
			}
			failing.answers(http.StatusOK)
			endWaits(t, url)
			if _, err := workertest.Handle(t, db, w, e, e); err != nil {
				t.Fatal(err)
			}
			if len(well.received()) != 1 || len(failing.received()) != 3 {
				t.Errorf("want one call and three, got %d and %d", len(well.received()), len(failing.received()))
			}
			if !hook.received()[0].signed || manager.received()[0].signed {
				t.Error("want the webhook's call signed, and not the Alertmanager's")
			}
			for _, p := range append(well.received(), failing.received()...) {
				if p.key != e.ID.String()+":alert" {
					t.Errorf("want the same key each time, got %s", p.key)
				}
			}
			if got := rows(t, db); !slices.Contains(got, "webhook delivered "+map[bool]string{false: "iii", true: "i"}[swap]+" 200") || len(got) != 2 {
				t.Errorf("want both told, got %q", got)
			}
		})
	}
}

// One refuses for good, the other is away: it is tried again for the one, and the refusal comes out in the end.
func TestARefusalWaitsForTheOther(t *testing.T) {
	t.Parallel()
	hook, manager, url := newReceiver(t), newReceiver(t), storetest.URL(t)
	db := storetest.Open(t, url, 8)
	w := alert.New(alert.Config{WebhookURL: hook.URL, AlertmanagerURL: manager.URL})
	e := low(t, "3")
	hook.answers(http.StatusGone)
	manager.answers(http.StatusServiceUnavailable)
	if _, err := workertest.Handle(t, db, w, e); err == nil || errors.Is(err, worker.ErrRejected) || strings.Contains(err.Error(), "410") {
		t.Fatalf("want to try again, got %v", err)
	}
	manager.answers(http.StatusOK)
	endWaits(t, url)
	if _, err := workertest.Handle(t, db, w, e); !errors.Is(err, worker.ErrRejected) || !strings.Contains(err.Error(), "notifying the webhook") || !strings.Contains(err.Error(), "410 Gone") {
		t.Fatalf("want the refusal, got %v", err)
	}
	hook.answers(http.StatusOK)
	if _, err := workertest.Handle(t, db, w, e); err != nil { // the webhook was repaired and the dead letter moved back
		t.Fatal(err)
	}
	if len(hook.received()) != 3 || len(manager.received()) != 2 {
		t.Errorf("want 3 and 2 calls, got %d and %d", len(hook.received()), len(manager.received()))
	}
}

// A crash after both calls, before their record: both are told again, and can know it.
func TestALostRecordIsToldAgain(t *testing.T) {
	t.Parallel()
	hook, manager := newReceiver(t), newReceiver(t)
	url := storetest.URL(t)
	db := storetest.Open(t, url, 4)
	w := alert.New(alert.Config{WebhookURL: hook.URL, AlertmanagerURL: manager.URL})
	e := expiring(t)
	storetest.Exec(t, url, `ALTER TABLE notification ADD CONSTRAINT lost CHECK (NOT delivered)`)
	if _, err := workertest.Handle(t, db, w, e); err == nil {
		t.Fatal("want the record to fail")
	}
	storetest.Exec(t, url, `ALTER TABLE notification DROP CONSTRAINT lost`)
	if _, err := workertest.Handle(t, db, w, e); err != nil {
		t.Fatal(err)
	}
	hooked, managed := hook.received(), manager.received()
	if len(hooked) != 2 || hooked[0].key != hooked[1].key || string(hooked[0].body) != string(hooked[1].body) {
		t.Errorf("want the same post twice, got %+v", hooked)
	}
	if len(managed) != 2 || !reflect.DeepEqual(labels(t, managed[0].body), labels(t, managed[1].body)) {
		t.Errorf("want the same alert twice, got %+v", managed)
	}
	if got := rows(t, db); len(got) != 2 {
		t.Errorf("want two rows, got %q", got)
	}
}

// Two slots with two copies tell twice with one key, and keep it once.
func TestTwoSlotsKeepOneNotice(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	db := storetest.DB(t)
	w := alert.New(alert.Config{WebhookURL: hook.URL})
	e := low(t, "3")
	handle := func() error { _, err := w.Handle(t.Context(), db, workertest.Delivery(e)); return err }
	errs := make(chan error, 2)
	for range 2 {
		go func() { errs <- handle() }()
	}
	if err := errors.Join(<-errs, <-errs); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, db); !slices.Equal(got, []string{"webhook delivered i 200"}) {
		t.Errorf("want one row, got %q", got)
	}
}

// Of two copies in two slots the one is told, the other fails later: told is told.
func TestALateFailureUntellsNothing(t *testing.T) {
	t.Parallel()
	db := storetest.DB(t)
	e := low(t, "3")
	var w worker.Worker
	calls := 0
	hook := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 1 {
			if _, err := w.Handle(t.Context(), db, workertest.Delivery(e)); err != nil {
				t.Error(err)
			}
			answer.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(hook.Close)
	w = alert.New(alert.Config{WebhookURL: hook.URL})
	if _, err := workertest.Handle(t, db, w, e); err == nil {
		t.Error("want the late one to fail")
	}
	if _, err := workertest.Handle(t, db, w, e); err != nil || calls != 2 {
		t.Errorf("want its retry to be a duplicate, got %d calls, %v", calls, err)
	}
	if got := rows(t, db); !slices.Equal(got, []string{"webhook delivered i 200"}) {
		t.Errorf("want one row, told, got %q", got)
	}
}

// An order that waits is told with how long, and until when.
func TestAnOrderThatWaits(t *testing.T) {
	t.Parallel()
	hook := newReceiver(t)
	db := storetest.Open(t, storetest.URL(t), 4)
	e := workertest.Event(t, event.PurchaseOrderEscalated{
		PurchaseOrderID: "o1", PONumber: "PO-2026-000001", SupplierID: "smith", LocationID: "shop", TotalAmount: workertest.Decimal("92.5"), Currency: "EUR",
		WaitedHours: 24, CancelledInHours: 1,
	})
	if _, err := workertest.Handle(t, db, alert.New(alert.Config{WebhookURL: hook.URL}), e); err != nil {
		t.Fatal(err)
	}
	const want = `"text":"Order PO-2026-000001 to smith for shop, 92.5 EUR, has waited 24 hours for a decision; it is cancelled in 1 hour."`
	if posts := hook.received(); len(posts) != 1 || !strings.Contains(string(posts[0].body), want) {
		t.Errorf("want %s, got %+v", want, posts)
	}
}

func TestSubscriptionsDoNotDependOnTheChannels(t *testing.T) {
	t.Parallel()
	for _, cfg := range []alert.Config{{}, {WebhookURL: "http://h"}, {WebhookURL: "http://h", AlertmanagerURL: "http://a"}} {
		if w := alert.New(cfg); !slices.Equal(w.Types(), []event.Type{event.TypeInventoryLowStock, event.TypeLotExpiring, event.TypePurchaseOrderEscalated}) || !w.TracksInbox() {
			t.Errorf("%+v consumes %v", cfg, w.Types())
		}
	}
}
