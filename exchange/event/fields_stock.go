package event

func (p *SaleCompleted) fields(f fields) {
	f.text("saleId", &p.SaleID, required)
	f.text("itemId", &p.ItemID, required)
	f.text("locationId", &p.LocationID, required)
	f.decimal("quantity", &p.Quantity, required)
	f.decimal("amount", &p.Amount, required)
	f.text("itemName", &p.ItemName, optional)
	f.timestamp("timestamp", &p.Timestamp)
}

func (p *ReceiptCompleted) fields(f fields) {
	f.text("receiptId", &p.ReceiptID, required)
	f.text("itemId", &p.ItemID, required)
	f.text("locationId", &p.LocationID, required)
	f.decimal("quantity", &p.Quantity, required)
	f.text("lotNumber", &p.LotNumber, optional)
	f.date("expiryDate", &p.ExpiryDate, optional)
	f.text("purchaseOrderId", &p.PurchaseOrderID, optional)
	f.text("transferId", &p.TransferID, optional)
	f.timestamp("timestamp", &p.Timestamp)
}

func (p *TransferInitiated) fields(f fields) {
	f.text("transferId", &p.TransferID, required)
	f.text("itemId", &p.ItemID, required)
	f.text("fromLocationId", &p.FromLocationID, required)
	f.text("toLocationId", &p.ToLocationID, required)
	f.decimal("quantity", &p.Quantity, required)
}

func (p *StockAdjusted) fields(f fields) {
	f.text("adjustmentId", &p.AdjustmentID, required)
	f.text("itemId", &p.ItemID, required)
	f.text("locationId", &p.LocationID, required)
	f.decimal("quantity", &p.Quantity, required)
	f.text("reason", &p.Reason, optional)
}

func (p *StockCounted) fields(f fields) {
	f.text("countId", &p.CountID, required)
	f.text("itemId", &p.ItemID, required)
	f.text("locationId", &p.LocationID, required)
	f.decimal("quantity", &p.Quantity, required)
}

func (p *InventoryUpdated) fields(f fields) {
	f.text("itemId", &p.ItemID, required)
	f.text("locationId", &p.LocationID, required)
	f.decimal("onHand", &p.OnHand, required)
	f.decimal("reserved", &p.Reserved, optional)
	f.decimal("available", &p.Available, required)
	f.decimal("quantity", &p.Quantity, required)
	f.text("transactionId", &p.TransactionID, required)
	f.text("transactionType", (*string)(&p.TransactionType), required)
	f.text("purchaseOrderId", &p.PurchaseOrderID, optional)
	f.text("lotNumber", &p.LotNumber, optional)
	f.date("expiryDate", &p.ExpiryDate, optional)
}

func (p *InventoryLowStock) fields(f fields) {
	f.text("itemId", &p.ItemID, required)
	f.text("locationId", &p.LocationID, required)
	f.decimal("available", &p.Available, required)
	f.decimal("threshold", &p.Threshold, required)
}

func (p *LotExpiring) fields(f fields) {
	f.text("itemId", &p.ItemID, required)
	f.text("locationId", &p.LocationID, required)
	f.text("lotNumber", &p.LotNumber, required)
	f.decimal("quantity", &p.Quantity, required)
	f.date("expiryDate", &p.ExpiryDate, required)
}
