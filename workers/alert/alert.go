// Package alert alerts the people on duty to low stock, to lots that expire soon and
// to orders that wait too long for a decision: by a webhook, by an Alertmanager, by both, or, when neither is
// configured, by the log and the table notification. Package notify has the failures of the way and their outcomes,
// alertmanager.go the protocol of an Alertmanager.
package alert

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/notify"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// Config names the receivers. The zero value writes to the log and the table.
type Config struct {
	// WebhookURL gets a POST of JSON, AlertmanagerURL is the base of an Alertmanager.
	WebhookURL, AlertmanagerURL string
	// Signer signs what the webhook gets; nil: it is not signed. An Alertmanager reads no signature.
	Signer *webcall.Signer
	Log    *slog.Logger
	// Now is the wall clock for the times that the Alertmanager gets; nil: the machine's.
	Now func() time.Time
}

// New declares the alert worker.
func New(cfg Config) worker.Worker {
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	t := notify.Notifier{Log: cfg.Log, Breakers: &worker.Breakers{}}
	caller := webcall.Caller{Breakers: t.Breakers}
	if cfg.WebhookURL != "" {
		signing := caller
		signing.Signer = cfg.Signer
		t.Channels = append(t.Channels, notify.Webhook(cfg.WebhookURL, signing))
	}
	if cfg.AlertmanagerURL != "" {
		t.Channels = append(t.Channels, alertmanager(cfg.AlertmanagerURL, caller, now))
	}
	return worker.New("alert", t.Subscribe(notify.Of(lowStock), notify.Of(lotExpiring), notify.Of(orderWaits))...)
}

// Severities, as those on duty sort them.
const (
	warning  = "warning"
	critical = "critical" // there is nothing left to sell
)

func lowStock(e event.Of[event.InventoryLowStock]) notify.Message {
	p, severity := e.Payload, warning
	if p.Available.Sign() <= 0 {
		severity = critical
	}
	return notify.Message{
		Key:     webcall.IdempotencyKey(e.ID.String(), "alert"),
		About:   p.ItemID + " at " + p.LocationID,
		Summary: fmt.Sprintf("%s at %s is low: %s available, threshold %s.", p.ItemID, p.LocationID, p.Available, p.Threshold),
		Labels: map[string]string{
			"alertname": "LowStock", "tenant": e.TenantID, "item": p.ItemID, "location": p.LocationID, "severity": severity,
		},
	}
}

func lotExpiring(e event.Of[event.LotExpiring]) notify.Message {
	p := e.Payload
	return notify.Message{
		Key:     webcall.IdempotencyKey(e.ID.String(), "alert"),
		About:   fmt.Sprintf("%s at %s, lot %s", p.ItemID, p.LocationID, p.LotNumber),
		Summary: fmt.Sprintf("Lot %s of %s at %s expires on %s: %s left.", p.LotNumber, p.ItemID, p.LocationID, p.ExpiryDate, p.Quantity),
		Labels: map[string]string{
			"alertname": "LotExpiring", "tenant": e.TenantID, "item": p.ItemID, "location": p.LocationID, "lot": p.LotNumber, "severity": warning,
		},
	}
}

func orderWaits(e event.Of[event.PurchaseOrderEscalated]) notify.Message {
	p := e.Payload
	amount := strings.TrimSpace(p.TotalAmount.String() + " " + p.Currency)
	summary := fmt.Sprintf("Order %s to %s for %s, %s, has waited %s for a decision", p.PONumber, p.SupplierID, p.LocationID, amount, wording.Count(p.WaitedHours, "hour"))
	if p.CancelledInHours > 0 {
		summary += fmt.Sprintf("; it is cancelled in %s", wording.Count(p.CancelledInHours, "hour"))
	}
	return notify.Message{
		Key:     webcall.IdempotencyKey(e.ID.String(), "alert"),
		About:   "order " + p.PONumber,
		Summary: summary + ".",
		Labels: map[string]string{
			"alertname": "OrderWaits", "tenant": e.TenantID, "order": p.PONumber, "supplier": p.SupplierID, "severity": warning,
		},
	}
}
