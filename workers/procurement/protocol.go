package procurement

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/worker/webcall"
)

// order is the body of the call. Its fields are named as the event's are.
type order struct {
	PurchaseOrderID string                    `json:"purchaseOrderId"`
	PONumber        string                    `json:"poNumber"`
	TenantID        string                    `json:"tenantId"`
	SupplierID      string                    `json:"supplierId"`
	LocationID      string                    `json:"locationId"`
	OrderedAt       time.Time                 `json:"orderedAt"` // business time
	Lines           []event.PurchaseOrderLine `json:"lines"`
	TotalAmount     event.Decimal             `json:"totalAmount"`
	Currency        string                    `json:"currency,omitempty"`
}

func orderOf(e event.Of[event.PurchaseOrderCreated]) order {
	return order{
		PurchaseOrderID: e.Payload.PurchaseOrderID, PONumber: e.Payload.PONumber, TenantID: e.TenantID, SupplierID: e.Payload.SupplierID,
		LocationID: e.Payload.LocationID, OrderedAt: e.Timestamp.UTC(), Lines: e.Payload.Lines, TotalAmount: e.Payload.TotalAmount, Currency: e.Payload.Currency,
	}
}

// confirmation is what a supplier answers; both fields are optional.
type confirmation struct {
	SupplierReference string `json:"supplierReference"`
	PromisedDate      string `json:"promisedDate"`
}

// maxReference is how many characters of a supplier's reference are kept.
const maxReference = 100

// read takes what can be read of an answer. The order is accepted whatever the
// answer is: a part that can not be read is logged, and asking again would not help.
func (o office) read(l letter, answer webcall.Answer) purchasing.Receipt {
	receipt := purchasing.Receipt{Status: answer.Status}
	var c confirmation
	err := json.Unmarshal(answer.Body, &c)
	switch {
	case answer.TooLarge:
		err = errors.New("the answer is too large to be read")
	case len(answer.Body) == 0:
		err = nil
	}
	receipt.SupplierReference = webcall.OneLine(c.SupplierReference, maxReference)
	if c.PromisedDate != "" {
		promised, bad := event.ParseDate(c.PromisedDate)
		if bad == nil && promised < "0001-01-01" {
			bad = errors.New("promisedDate: no year 0 is known")
		}
		if bad == nil {
			receipt.PromisedDate = promised
		}
		err = errors.Join(err, bad)
	}
	if err != nil {
		o.log.Warn("a supplier took an order with an answer that can not be read whole", "tenant", l.Tenant, "order", l.Order, "supplier", l.Supplier, "error", err)
	}
	return receipt
}
