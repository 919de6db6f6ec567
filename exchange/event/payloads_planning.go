package event

import "time"

// RuleChanged reports that a planner made an item's replenishment rule at a location, or changed it.
type RuleChanged struct {
	RuleID     string `json:"ruleId"`
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
}

// ReplenishmentTriggered reports that a rule found an item short at a location and orders more of it.
//
// Available, OnOrder and InTransit together were at or below ReorderPoint.
type ReplenishmentTriggered struct {
	RuleID     string `json:"ruleId"`
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// The available stock that the rule found.
	Available Decimal `json:"available"`
	// The quantity on order that the rule found.
	OnOrder Decimal `json:"onOrder"`
	// The quantity on its way from other locations that the rule found; absent when there was none.
	InTransit    Decimal `json:"inTransit,omitzero"`
	ReorderPoint Decimal `json:"reorderPoint"`
	// The quantity to order.
	Quantity   Decimal `json:"quantity" event:"positive"`
	SupplierID string  `json:"supplierId,omitempty"`
	// The purchase order made for it, if any.
	PurchaseOrderID string `json:"purchaseOrderId,omitempty"`
}

// PurchaseOrderPending is the status of an order that is neither approved nor cancelled.
const PurchaseOrderPending = "PENDING"

// PurchaseOrderCreated is a new order to a supplier, for delivery to one location.
type PurchaseOrderCreated struct {
	PurchaseOrderID string  `json:"purchaseOrderId"`
	PONumber        string  `json:"poNumber"` // the order's number on paper and for the supplier
	SupplierID      string  `json:"supplierId"`
	LocationID      string  `json:"locationId"`
	TotalAmount     Decimal `json:"totalAmount" event:"nonnegative"`
	// The currency of all its amounts, the location's; absent where the location has none.
	Currency string `json:"currency,omitempty"`
	// PENDING until the order is approved or cancelled.
	Status string              `json:"status"`
	Lines  []PurchaseOrderLine `json:"lines" event:"nonempty"`
}

// PurchaseOrderLine is the ordered quantity of one item.
type PurchaseOrderLine struct {
	ItemID   string  `json:"itemId"`
	Quantity Decimal `json:"quantity" event:"positive"`
	// Absent when not known, which is not the same as free.
	UnitPrice *Decimal `json:"unitPrice,omitempty" event:"nonnegative"`
}

// PurchaseOrderApproved reports that an order may be sent to its supplier.
type PurchaseOrderApproved struct {
	PurchaseOrderID string    `json:"purchaseOrderId"`
	ApprovedBy      string    `json:"approvedBy"`
	ApprovedAt      time.Time `json:"approvedAt"`
	// The order's number, as people know it.
	PONumber string `json:"poNumber,omitempty"`
	// When a person decided, by the clock; approvedAt is business time.
	DecisionMadeAt time.Time `json:"decisionMadeAt,omitzero"`
}

// PurchaseOrderCancelled reports that an order is cancelled, whether or not it was approved.
type PurchaseOrderCancelled struct {
	PurchaseOrderID string `json:"purchaseOrderId"`
	Reason          string `json:"reason" event:"note"`
	CancelledBy     string `json:"cancelledBy,omitempty"`
	// The order's number, as people know it.
	PONumber string `json:"poNumber,omitempty"`
	// When a person decided, by the clock; the event's timestamp is business time.
	DecisionMadeAt time.Time `json:"decisionMadeAt,omitzero"`
}

// PurchaseOrderEscalated reports that an order has waited for a decision for as long as its tenant allows.
type PurchaseOrderEscalated struct {
	PurchaseOrderID string `json:"purchaseOrderId"`
	// The order's number, as people know it.
	PONumber   string `json:"poNumber,omitempty"`
	SupplierID string `json:"supplierId"`
	LocationID string `json:"locationId"`
	// The sum of the lines with a known price.
	TotalAmount Decimal `json:"totalAmount" event:"nonnegative"`
	Currency    string  `json:"currency,omitempty"`
	// How long it has waited, by the clock.
	WaitedHours int64 `json:"waitedHours" event:"nonnegative"`
	// In how many hours it is cancelled without a decision; absent: it is not.
	CancelledInHours int64 `json:"cancelledInHours,omitempty" event:"nonnegative"`
}

// PurchaseOrderClosed reports that no more of an order will come: what is left of it is not on order any more.
type PurchaseOrderClosed struct {
	PurchaseOrderID string `json:"purchaseOrderId"`
	Reason          string `json:"reason" event:"note"`
	ClosedBy        string `json:"closedBy"`
	// The order's number, as people know it.
	PONumber string `json:"poNumber,omitempty"`
	// When it was closed, by the clock; the event's timestamp is business time.
	ClosedAt time.Time `json:"closedAt"`
}

// ForecastGenerated is the demand expected for an item at a location, day by day.
type ForecastGenerated struct {
	ItemID     string `json:"itemId"`
	LocationID string `json:"locationId"`
	// The kind of forecast: BASELINE.
	ModelType string `json:"modelType"`
	// The forecasting method, chosen by the item's own history: SES, SBA, ...
	Method string `json:"method,omitempty"`
	// The number of days.
	ForecastCount int64 `json:"forecastCount" event:"nonnegative"`
	// The first day.
	StartDate Date `json:"startDate"`
	// The last day.
	EndDate Date `json:"endDate"`
	// The units expected on each day from startDate on.
	DailyDemand []Decimal `json:"dailyDemand" event:"nonnegative"`
	// The standard deviation of the error of one day's forecast, in units.
	ErrorStdDev Decimal `json:"errorStdDev" event:"nonnegative"`
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

// EventType is PURCHASE_ORDER_ESCALATED.
func (PurchaseOrderEscalated) EventType() Type { return TypePurchaseOrderEscalated }

// EventType is PURCHASE_ORDER_CLOSED.
func (PurchaseOrderClosed) EventType() Type { return TypePurchaseOrderClosed }

// EventType is FORECAST_GENERATED.
func (ForecastGenerated) EventType() Type { return TypeForecastGenerated }
