// Package notification notifies buyers of purchase orders: created, approved,
// cancelled. It posts them to a webhook, or writes them to the log and the table
// notification when none is configured. Package notify has the failures of the way
// and their outcomes.
package notification

import (
	"cmp"
	"fmt"
	"log/slog"
	"strings"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/notify"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// New declares the notification worker. url is the webhook's; empty, there is none. A nil signer signs nothing.
func New(url string, signer *webcall.Signer, log *slog.Logger) worker.Worker {
	t := notify.Notifier{Log: log, Breakers: &worker.Breakers{}}
	if url != "" {
		t.Channels = []notify.Channel{notify.Webhook(url, webcall.Caller{Breakers: t.Breakers, Signer: signer})}
	}
	return worker.New("notification", t.Subscribe(notify.Of(created), notify.Of(approved), notify.Of(cancelled))...)
}

func created(e event.Of[event.PurchaseOrderCreated]) notify.Message {
	p := e.Payload
	lines := "1 line"
	if n := len(p.Lines); n != 1 {
		lines = fmt.Sprintf("%d lines", n)
	}
	m := about(p.PurchaseOrderID, "created")
	m.Summary = fmt.Sprintf("Order %s to supplier %s for %s: %s, total %s.", p.PONumber, p.SupplierID, p.LocationID, lines, strings.TrimSpace(p.TotalAmount.String()+" "+p.Currency))
	return m
}

func approved(e event.Of[event.PurchaseOrderApproved]) notify.Message {
	m := about(e.Payload.PurchaseOrderID, "approved")
	m.Summary = fmt.Sprintf("Order %s was approved by %s.", called(e.Payload.PONumber, e.Payload.PurchaseOrderID), e.Payload.ApprovedBy)
	return m
}

func cancelled(e event.Of[event.PurchaseOrderCancelled]) notify.Message {
	by := ""
	if e.Payload.CancelledBy != "" {
		by = " by " + e.Payload.CancelledBy
	}
	m := about(e.Payload.PurchaseOrderID, "cancelled")
	m.Summary = fmt.Sprintf("Order %s was cancelled%s: %s", called(e.Payload.PONumber, e.Payload.PurchaseOrderID), by, e.Payload.Reason)
	return m
}

// called is what people call an order: its number. An event of the version before has only its id.
func called(number, id string) string { return cmp.Or(number, id) }

// about is a message whose key is the order's and what became of it: an order
// is created, approved and cancelled once each.
func about(order, action string) notify.Message {
	return notify.Message{Key: webcall.IdempotencyKey(order, action), About: "order " + order}
}
