package event

import "time"

// RuleChanged is a planner's word that an item's replenishment rule at a location is new or another now.
type RuleChanged struct {
	RuleID     string `json:"ruleId"`
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
}

// ReplenishmentTriggered is a rule that found an item short at a location and wants more of it.
type ReplenishmentTriggered struct {
	RuleID     string `json:"ruleId"`
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// Available and OnOrder are what the rule saw; together they fell to or below ReorderPoint.
	Available    Decimal `json:"available"`
	OnOrder      Decimal `json:"onOrder"`
	ReorderPoint Decimal `json:"reorderPoint"`
	// Quantity is how much it wants, more than zero.
	Quantity   Decimal `json:"quantity"`
	SupplierID string  `json:"supplierId,omitempty"`
	// PurchaseOrderID is the order made for it, where one was.
	PurchaseOrderID string `json:"purchaseOrderId,omitempty"`
}

// PurchaseOrderPending is the status of an order that nobody has approved or cancelled yet.
const PurchaseOrderPending = "PENDING"

// PurchaseOrderCreated is a new order to a supplier, for delivery to one location.
type PurchaseOrderCreated struct {
	PurchaseOrderID string `json:"purchaseOrderId"`
	// PONumber is the number people and suppliers call it by.
	PONumber    string  `json:"poNumber"`
	SupplierID  string  `json:"supplierId"`
	LocationID  string  `json:"locationId"`
	TotalAmount Decimal `json:"totalAmount"`
	Status      string  `json:"status"`
	// Lines are what is ordered, at least one.
	Lines []PurchaseOrderLine `json:"lines"`
}

// PurchaseOrderLine is how much of one item is ordered.
type PurchaseOrderLine struct {
	ItemID string `json:"itemId"`
	// Quantity is more than zero.
	Quantity Decimal `json:"quantity"`
	// UnitPrice is nil when it is not known, which is not the same as free.
	UnitPrice *Decimal `json:"unitPrice,omitempty"`
}

// PurchaseOrderApproved is an order that may be sent to its supplier.
type PurchaseOrderApproved struct {
	PurchaseOrderID string    `json:"purchaseOrderId"`
	ApprovedBy      string    `json:"approvedBy"`
	ApprovedAt      time.Time `json:"approvedAt"`
}

// PurchaseOrderCancelled takes an order back, whether or not it was approved.
type PurchaseOrderCancelled struct {
	PurchaseOrderID string `json:"purchaseOrderId"`
	Reason          string `json:"reason"`
	CancelledBy     string `json:"cancelledBy,omitempty"`
}

// ForecastGenerated is the demand expected for an item at a location, day by day.
type ForecastGenerated struct {
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// ModelType names what kind of forecast it is: BASELINE.
	ModelType string `json:"modelType"`
	// Method is the one that the item's own history chose: SES, SBA, ...
	Method string `json:"method,omitempty"`
	// ForecastCount is the number of days, StartDate the first and EndDate the last of them.
	ForecastCount int64 `json:"forecastCount"`
	StartDate     Date  `json:"startDate"`
	EndDate       Date  `json:"endDate"`
	// DailyDemand is the units expected on each day from StartDate on.
	DailyDemand []Decimal `json:"dailyDemand"`
	// ErrorStdDev is the standard deviation of the error of one day's forecast, in units.
	ErrorStdDev Decimal `json:"errorStdDev"`
}

// EventType is RULE_CHANGED.
func (RuleChanged) EventType() Type { return TypeRuleChanged }

// EventType is REPLENISHMENT_TRIGGERED.
func (ReplenishmentTriggered) EventType() Type { return TypeReplenishmentTriggered }

// EventType is PURCHASE_ORDER_CREATED.
func (PurchaseOrderCreated) EventType() Type { return TypePurchaseOrderCreated }

// EventType is PURCHASE_ORDER_APPROVED.
func (PurchaseOrderApproved) EventType() Type { return TypePurchaseOrderApproved }

// EventType is PURCHASE_ORDER_CANCELLED.
func (PurchaseOrderCancelled) EventType() Type { return TypePurchaseOrderCancelled }

// EventType is FORECAST_GENERATED.
func (ForecastGenerated) EventType() Type { return TypeForecastGenerated }
