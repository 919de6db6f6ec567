package event

func (p *RuleChanged) fields(f fields) {
	f.text("ruleId", &p.RuleID, required)
	f.text("itemId", &p.ItemID, required)
	f.text("locationId", &p.LocationID, required)
}

func (p *ReplenishmentTriggered) fields(f fields) {
	f.text("ruleId", &p.RuleID, required)
	f.text("itemId", &p.ItemID, required)
	f.text("locationId", &p.LocationID, required)
	f.decimal("available", &p.Available, required)
	f.decimal("onOrder", &p.OnOrder, required)
	f.decimal("reorderPoint", &p.ReorderPoint, required)
	f.decimal("quantity", &p.Quantity, required)
	f.text("supplierId", &p.SupplierID, optional)
	f.text("purchaseOrderId", &p.PurchaseOrderID, optional)
}

func (p *PurchaseOrderCreated) fields(f fields) {
	f.text("purchaseOrderId", &p.PurchaseOrderID, required)
	f.text("poNumber", &p.PONumber, required)
	f.text("supplierId", &p.SupplierID, required)
	f.text("locationId", &p.LocationID, required)
	f.decimal("totalAmount", &p.TotalAmount, required)
	f.text("status", &p.Status, required)
	f.objects("lines", (*orderLines)(&p.Lines))
}

func (p *PurchaseOrderLine) fields(f fields) {
	f.text("itemId", &p.ItemID, required)
	f.decimal("quantity", &p.Quantity, required)
	f.price("unitPrice", &p.UnitPrice)
}

// orderLines lets the lines of an order be walked over.
type orderLines []PurchaseOrderLine

func (l *orderLines) length() int        { return len(*l) }
func (l *orderLines) resize(n int)       { *l = make(orderLines, n) }
func (l *orderLines) item(i int) fielder { return &(*l)[i] }

func (p *PurchaseOrderApproved) fields(f fields) {
	f.text("purchaseOrderId", &p.PurchaseOrderID, required)
	f.text("approvedBy", &p.ApprovedBy, required)
	f.timestamp("approvedAt", &p.ApprovedAt)
}

func (p *PurchaseOrderCancelled) fields(f fields) {
	f.text("purchaseOrderId", &p.PurchaseOrderID, required)
	f.text("reason", &p.Reason, required)
	f.text("cancelledBy", &p.CancelledBy, optional)
}

func (p *ForecastGenerated) fields(f fields) {
	f.text("itemId", &p.ItemID, required)
	f.text("locationId", &p.LocationID, required)
	f.text("modelType", &p.ModelType, required)
	f.text("method", &p.Method, optional)
	f.integer("forecastCount", &p.ForecastCount, required)
	f.date("startDate", &p.StartDate, required)
	f.date("endDate", &p.EndDate, required)
	f.decimals("dailyDemand", &p.DailyDemand)
	f.decimal("errorStdDev", &p.ErrorStdDev, required)
}
