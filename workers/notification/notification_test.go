package notification_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/notifications"
	"github.com/composerp/composerp/store/storetest"
	"github.com/composerp/composerp/workers/notification"
	"github.com/composerp/composerp/workers/worker/webcall"
	"github.com/composerp/composerp/workers/worker/workertest"
)

const order = "3c0d9b52-0f5e-5a53-8d55-0c77f4a0a1f1"

// life is what happens to an order, and what is said of it.
func life(t testing.TB) (events []event.Any, keys, texts []string) {
	t.Helper()
	line := event.PurchaseOrderLine{ItemID: "cup", Quantity: workertest.Decimal("12")}
	create := event.PurchaseOrderCreated{
		PurchaseOrderID: order, PONumber: "PO-2024-000007", SupplierID: "potter", LocationID: "shop", Status: event.PurchaseOrderPending,
		TotalAmount: workertest.Decimal("15.50"), Lines: []event.PurchaseOrderLine{line},
	}
	for _, p := range []event.Payload{
		create,
		event.PurchaseOrderApproved{PurchaseOrderID: order, ApprovedBy: "policy", ApprovedAt: workertest.Day, PONumber: "PO-2024-000007"},
		event.PurchaseOrderCancelled{PurchaseOrderID: order, Reason: "too\nmany " + strings.Repeat("cups ", 150), CancelledBy: "eve"},
	} {
		events = append(events, workertest.Event(t, p))
	}
	return events, []string{order + ":created", order + ":approved", order + ":cancelled"}, []string{
		"Order PO-2024-000007 to supplier potter for shop: 1 line, total 15.5.",
		"Order PO-2024-000007 was approved by policy.",
		"Order " + order + " was cancelled by eve: too many cups cups ",
	}
}

func TestAWebhookGetsEachOrderOnce(t *testing.T) {
	t.Parallel()
	events, keys, texts := life(t)
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	signing, signer := storetest.MustGet(standardwebhooks.NewWebhook(secret))(t), storetest.MustGet(webcall.NewSigner([]string{secret}))(t)
	var mu sync.Mutex
	var received, said []string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		if err := signing.Verify(raw, r.Header); err != nil {
			t.Errorf("the call is not signed: %v", err)
		}
		var body struct{ Text, About, EventType string }
		_ = json.Unmarshal(raw, &body)
		mu.Lock()
		defer mu.Unlock()
		received, said = append(received, r.Header.Get("Idempotency-Key")), append(said, body.Text)
		if body.About != "order "+order || body.EventType == "" {
			t.Errorf("want what it is about, got %s", raw)
		}
	}))
	t.Cleanup(hook.Close)
	db := storetest.DB(t)
	for range 2 {
		if emitted, err := workertest.Handle(t, db, notification.New(hook.URL, signer, nil), events...); err != nil || len(emitted) != 0 {
			t.Fatalf("want silence, got %d events, %v", len(emitted), err)
		}
	}
	if !slices.Equal(received, keys) {
		t.Errorf("want each told once with its key, got %q", received)
	}
	for i, text := range texts {
		if !strings.HasPrefix(said[i], text) || len(said[i]) > 400 {
			t.Errorf("want %q, got %q", text, said[i])
		}
	}
	rows, err := notifications.List(t.Context(), db, workertest.Tenant, false, 10)
	if err != nil || len(rows) != 3 || rows[0].Channel != "webhook" || rows[0].Answer != "200" || !rows[0].Delivered || rows[0].Type != "PURCHASE_ORDER_CANCELLED" {
		t.Errorf("want three notices, the newest first, got %+v, %v", rows, err)
	}
}

func TestWithoutAURLItIsWrittenDown(t *testing.T) {
	t.Parallel()
	events, _, texts := life(t)
	db := storetest.DB(t)
	var log bytes.Buffer
	if _, err := workertest.Handle(t, db, notification.New("", nil, slog.New(slog.NewTextHandler(&log, nil))), events...); err != nil {
		t.Fatal(err)
	}
	rows, err := notifications.List(t.Context(), db, "", false, 10)
	if err != nil || len(rows) != 3 {
		t.Fatalf("want three notices, got %+v, %v", rows, err)
	}
	for _, n := range rows {
		if n.Channel != "log" || !n.Delivered || n.Answer != "no channel is configured" {
			t.Errorf("want it said to the log, and why, got %+v", n)
		}
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.HasPrefix(n.Summary, text) }) || !strings.Contains(log.String(), n.Summary) {
			t.Errorf("want the summary in the log too, got %q in %s", n.Summary, &log)
		}
	}
	if other, err := notifications.List(t.Context(), db, "unknown", false, 10); err != nil || len(other) != 0 {
		t.Errorf("want another tenant's kept apart, got %+v, %v", other, err)
	}
	if undelivered, err := notifications.List(t.Context(), db, "", true, 10); err != nil || len(undelivered) != 0 {
		t.Errorf("want none undelivered, got %+v, %v", undelivered, err)
	}
}
