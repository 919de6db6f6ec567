package event

import "time"

// SaleCompleted is a line of a sale that a till has closed.
type SaleCompleted struct {
	SaleID     string `json:"saleId"`
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// Quantity is what left the location; negative for a return, never zero.
	Quantity Decimal `json:"quantity"`
	// Amount is what the customer paid for the line; negative for a return.
	Amount Decimal `json:"amount"`
	// ItemName is what the till calls the item, so that an item seen for the first time gets a name.
	ItemName  string    `json:"itemName,omitempty"`
	Timestamp time.Time `json:"timestamp"`
}

// ReceiptCompleted is goods of one lot taken in at a location.
type ReceiptCompleted struct {
	ReceiptID  string `json:"receiptId"`
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// Quantity is what came in, more than zero.
	Quantity   Decimal `json:"quantity"`
	LotNumber  string  `json:"lotNumber,omitempty"`
	ExpiryDate Date    `json:"expiryDate,omitempty"`
	// PurchaseOrderID is the order it answers, where the warehouse knows.
	PurchaseOrderID string `json:"purchaseOrderId,omitempty"`
	// TransferID says that the goods come out of in-transit, not from a supplier.
	TransferID string    `json:"transferId,omitempty"`
	Timestamp  time.Time `json:"timestamp"`
}

// TransferInitiated is goods that left one location for another. They are in transit until a ReceiptCompleted with
// the same TransferID takes them in.
type TransferInitiated struct {
	TransferID     string `json:"transferId"`
	ItemID         string `json:"itemId"`
	FromLocationID string `json:"fromLocationId"`
	ToLocationID   string `json:"toLocationId"`
	// Quantity is what left, more than zero.
	Quantity Decimal `json:"quantity"`
}

// StockAdjusted is stock found to be more or less than it was thought to be: damaged, lost, found.
type StockAdjusted struct {
	AdjustmentID string `json:"adjustmentId"`
	ItemID       string `json:"itemId"`
	LocationID   string `json:"locationId"`
	// Quantity is the change: negative for a loss, never zero.
	Quantity Decimal `json:"quantity"`
	Reason   string  `json:"reason,omitempty"`
}

// StockCounted is what somebody who went and looked has found.
type StockCounted struct {
	CountID    string `json:"countId"`
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// Quantity is the stock on hand as counted, not a change; zero or more.
	Quantity Decimal `json:"quantity"`
}

// TransactionType says what kind of movement changed a position.
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

// InventoryUpdated is a position after one movement. The position's version is in the metadata's sequence.
type InventoryUpdated struct {
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// OnHand is the stock there after the movement. It may be negative: the till is right, the system is late.
	OnHand Decimal `json:"onHand"`
	// Reserved is the part of it that is promised.
	Reserved Decimal `json:"reserved,omitzero"`
	// Available is OnHand less Reserved.
	Available Decimal `json:"available"`
	// Quantity is the change that the movement made: negative when goods went out.
	Quantity        Decimal         `json:"quantity"`
	TransactionID   string          `json:"transactionId"`
	TransactionType TransactionType `json:"transactionType"`
	PurchaseOrderID string          `json:"purchaseOrderId,omitempty"`
	LotNumber       string          `json:"lotNumber,omitempty"`
	// ExpiryDate is the lot's, as the warehouse said it.
	ExpiryDate Date `json:"expiryDate,omitempty"`
}

// InventoryLowStock is said once when a position's available stock falls below its threshold.
type InventoryLowStock struct {
	ItemID     string  `json:"itemId"`
	LocationID string  `json:"locationId"`
	Available  Decimal `json:"available"`
	Threshold  Decimal `json:"threshold"`
}

// LotExpiring is said once of a lot that will expire soon while some of it is left.
type LotExpiring struct {
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	LotNumber  string `json:"lotNumber"`
	// Quantity is what is left of it, more than zero.
	Quantity   Decimal `json:"quantity"`
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
