package event

import (
	"fmt"
	"regexp"
	"time"
)

// SaleCompleted is a line of a sale that a till has closed. A return is a sale of a negative quantity.
type SaleCompleted struct {
	SaleID     string `json:"saleId"`
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// The quantity that left the location; negative for a return, never zero.
	Quantity Decimal `json:"quantity" event:"nonzero"`
	// The amount that the customer paid for the line; zero, or of the quantity's sign: negative for a return.
	Amount Decimal `json:"amount"`
	// The amount's currency, an ISO 4217 code such as EUR. Absent: the location's.
	Currency string `json:"currency,omitempty"`
	// The item's name at the till. It names an item that is new to the ledger.
	ItemName  string    `json:"itemName,omitempty" event:"name"`
	Timestamp time.Time `json:"timestamp"`
}

func (p SaleCompleted) check() *FieldError {
	if p.Currency != "" && !IsCurrency(p.Currency) {
		return &FieldError{Field: "payload.currency", Problem: fmt.Sprintf("want an ISO 4217 code of three capital letters such as EUR, got %s", quote(p.Currency))}
	}
	if p.Amount.Sign()*p.Quantity.Sign() < 0 {
		return &FieldError{Field: "payload.amount", Problem: fmt.Sprintf("want 0 or the sign of the quantity %s, got %s", p.Quantity, p.Amount)}
	}
	return nil
}

var currencyText = regexp.MustCompile(`^[A-Z]{3}$`)

// IsCurrency reports whether the text has the form of an ISO 4217 code: three capital letters.
func IsCurrency(code string) bool { return currencyText.MatchString(code) }

// ReceiptCompleted is goods of one lot taken in at a location.
type ReceiptCompleted struct {
	ReceiptID  string `json:"receiptId"`
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// The quantity taken in.
	Quantity   Decimal `json:"quantity" event:"positive"`
	LotNumber  string  `json:"lotNumber,omitempty"`
	ExpiryDate Date    `json:"expiryDate,omitempty"`
	// The purchase order that the goods were delivered for, where known.
	PurchaseOrderID string `json:"purchaseOrderId,omitempty"`
	// Present when the goods come out of in-transit, not from a supplier.
	TransferID string    `json:"transferId,omitempty"`
	Timestamp  time.Time `json:"timestamp"`
}

// TransferInitiated is goods that left one location for another.
//
// They are in transit until a ReceiptCompleted with the same TransferID takes them in.
type TransferInitiated struct {
	TransferID     string `json:"transferId"`
	ItemID         string `json:"itemId"`
	FromLocationID string `json:"fromLocationId"`
	ToLocationID   string `json:"toLocationId"`
	// The quantity that left.
	Quantity Decimal `json:"quantity" event:"positive"`
}

func (p TransferInitiated) check() *FieldError {
	if p.FromLocationID == p.ToLocationID {
		return &FieldError{Field: "payload.toLocationId", Problem: fmt.Sprintf("want another location than fromLocationId, got %q", p.ToLocationID)}
	}
	return nil
}

// StockAdjusted is a correction of an item's stock at a location: damaged, lost or found goods.
type StockAdjusted struct {
	AdjustmentID string `json:"adjustmentId"`
	ItemID       string `json:"itemId"`
	LocationID   string `json:"locationId"`
	// The change: negative for a loss, never zero.
	Quantity Decimal `json:"quantity" event:"nonzero"`
	Reason   string  `json:"reason,omitempty" event:"note"`
}

// StockCounted is the stock of an item at a location, as a count found it.
type StockCounted struct {
	CountID    string `json:"countId"`
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// The stock on hand as counted, not a change.
	Quantity Decimal `json:"quantity" event:"nonnegative"`
}

// TransactionType is the kind of movement that changed a position.
type TransactionType string

// The kinds of movement.
const (
	TransactionSale       TransactionType = "SALE"
	TransactionReturn     TransactionType = "RETURN"
	TransactionReceipt    TransactionType = "RECEIPT"
	TransactionTransfer   TransactionType = "TRANSFER"
	TransactionAdjustment TransactionType = "ADJUSTMENT"
	TransactionCount      TransactionType = "COUNT"
)

// Values returns all kinds of movement.
func (TransactionType) Values() []string {
	return []string{
		string(TransactionSale), string(TransactionReturn), string(TransactionReceipt),
		string(TransactionTransfer), string(TransactionAdjustment), string(TransactionCount),
	}
}

// InventoryUpdated is a position after one movement. The position's version number is in metadata.sequence.
type InventoryUpdated struct {
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// The stock there after the movement; may be negative.
	OnHand Decimal `json:"onHand"` // negative when the till is ahead of the warehouse
	// The part of it that is reserved; absent when none is.
	Reserved Decimal `json:"reserved,omitzero"`
	// onHand less reserved.
	Available Decimal `json:"available"`
	// What the movement changed of onHand; negative when goods went out.
	Change          Decimal         `json:"change"`
	TransactionID   string          `json:"transactionId"`
	TransactionType TransactionType `json:"transactionType"`
	PurchaseOrderID string          `json:"purchaseOrderId,omitempty"`
	// The transfer that the goods left or came by.
	TransferID string `json:"transferId,omitempty"`
	// The location that they left for; absent when they came.
	ToLocationID string `json:"toLocationId,omitempty"`
	LotNumber    string `json:"lotNumber,omitempty"`
	// The lot's expiry date, as the warehouse recorded it.
	ExpiryDate Date `json:"expiryDate,omitempty"`
}

// InventoryLowStock reports that a position's available stock has fallen below its threshold. It is published
// once per crossing.
type InventoryLowStock struct {
	ItemID     string  `json:"itemId"`
	LocationID string  `json:"locationId"`
	Available  Decimal `json:"available"`
	Threshold  Decimal `json:"threshold"`
}

// LotExpiring reports that a lot will expire soon and some of it is left. It is published once per lot.
type LotExpiring struct {
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	LotNumber  string `json:"lotNumber"`
	// The quantity left of it.
	Quantity   Decimal `json:"quantity" event:"positive"`
	ExpiryDate Date    `json:"expiryDate"`
}

// EventType is SALE_COMPLETED.
func (SaleCompleted) EventType() Type { return TypeSaleCompleted }

// EventType is RECEIPT_COMPLETED.
func (ReceiptCompleted) EventType() Type { return TypeReceiptCompleted }

// EventType is TRANSFER_INITIATED.
func (TransferInitiated) EventType() Type { return TypeTransferInitiated }

// EventType is STOCK_ADJUSTED.
func (StockAdjusted) EventType() Type { return TypeStockAdjusted }

// EventType is STOCK_COUNTED.
func (StockCounted) EventType() Type { return TypeStockCounted }

// EventType is INVENTORY_UPDATED.
func (InventoryUpdated) EventType() Type { return TypeInventoryUpdated }

// EventType is INVENTORY_LOW_STOCK.
func (InventoryLowStock) EventType() Type { return TypeInventoryLowStock }

// EventType is LOT_EXPIRING.
func (LotExpiring) EventType() Type { return TypeLotExpiring }
