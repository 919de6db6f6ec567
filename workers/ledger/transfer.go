package ledger

import (
	"fmt"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/masterdata"
)

// transfer is what an event means to the ledger: quantity arrives at one
// position (or leaves it, negative) and the opposite happens at its counterpart.
type transfer struct {
	cause       event.Envelope
	at          masterdata.PositionKey
	counterpart masterdata.PositionKey
	quantity    event.Decimal
	// counted: quantity is not a change but what was found there.
	counted         bool
	kind            event.TransactionType
	itemName        string
	purchaseOrderID string
	transferID      string
	toLocation      string // where goods in transit are going
	lotNumber       string
	expiryDate      event.Date
}

// read turns an event into a transfer.
func read(e event.Any) (transfer, error) {
	t := transfer{cause: e.Envelope}
	between := func(item, location, counterpart string) error {
		if masterdata.IsVirtual(location) {
			return fmt.Errorf("location %q: names that begin with @ are the ledger's own", location)
		}
		t.at = masterdata.PositionKey{Tenant: e.TenantID, Item: item, Location: location}
		t.counterpart = masterdata.PositionKey{Tenant: e.TenantID, Item: item, Location: counterpart}
		return nil
	}
	switch p := e.Payload.(type) {
	case event.SaleCompleted:
		t.quantity, t.kind, t.itemName = p.Quantity.Neg(), event.TransactionSale, p.ItemName
		if p.Quantity.IsNegative() {
			t.kind = event.TransactionReturn
		}
		return t, between(p.ItemID, p.LocationID, ledger.Customer)
	case event.ReceiptCompleted:
		t.quantity, t.kind, t.purchaseOrderID = p.Quantity, event.TransactionReceipt, p.PurchaseOrderID
		t.lotNumber, t.expiryDate = p.LotNumber, p.ExpiryDate
		if p.TransferID != "" {
			// The end of a transfer is no supplier's delivery: no order may be counted down by it.
			t.kind, t.transferID = event.TransactionTransfer, p.TransferID
			return t, between(p.ItemID, p.LocationID, ledger.Transit)
		}
		return t, between(p.ItemID, p.LocationID, ledger.Supplier)
	case event.TransferInitiated:
		t.quantity, t.kind = p.Quantity.Neg(), event.TransactionTransfer
		t.transferID, t.toLocation = p.TransferID, p.ToLocationID
		// Where it is going must be a place it can arrive at, or it stays in transit for ever.
		if err := between(p.ItemID, p.ToLocationID, ledger.Transit); err != nil {
			return t, err
		}
		return t, between(p.ItemID, p.FromLocationID, ledger.Transit)
	case event.StockAdjusted:
		t.quantity, t.kind = p.Quantity, event.TransactionAdjustment
		return t, between(p.ItemID, p.LocationID, ledger.Loss)
	case event.StockCounted:
		t.quantity, t.kind, t.counted = p.Quantity, event.TransactionCount, true
		return t, between(p.ItemID, p.LocationID, ledger.Loss)
	}
	return t, fmt.Errorf("the ledger does not know %s", e.Type)
}
