package event

import "reflect"

// Type names what happened, in the past tense: SALE_COMPLETED.
type Type string

// The catalogue's types.
const (
	TypeSaleCompleted          Type = "SALE_COMPLETED"
	TypeReceiptCompleted       Type = "RECEIPT_COMPLETED"
	TypeTransferInitiated      Type = "TRANSFER_INITIATED"
	TypeStockAdjusted          Type = "STOCK_ADJUSTED"
	TypeStockCounted           Type = "STOCK_COUNTED"
	TypeInventoryUpdated       Type = "INVENTORY_UPDATED"
	TypeInventoryLowStock      Type = "INVENTORY_LOW_STOCK"
	TypeLotExpiring            Type = "LOT_EXPIRING"
	TypeRuleChanged            Type = "RULE_CHANGED"
	TypeReplenishmentTriggered Type = "REPLENISHMENT_TRIGGERED"
	TypePurchaseOrderCreated   Type = "PURCHASE_ORDER_CREATED"
	TypePurchaseOrderApproved  Type = "PURCHASE_ORDER_APPROVED"
	TypePurchaseOrderCancelled Type = "PURCHASE_ORDER_CANCELLED"
	TypeForecastGenerated      Type = "FORECAST_GENERATED"
)

// Definition is a type's entry in the catalogue.
type Definition struct {
	Type Type
	// RoutingKey is what the event is published with. Nobody dispatches by it: see the package exchange.
	RoutingKey string
	// AggregateType is the kind of thing the event is about.
	AggregateType string
	// Version is the one Encode writes.
	Version string
	// Outside is true for what tills and warehouses say, false for what only our own workers say.
	Outside bool
}

// catalogue is the guest list of event types, one line each. Adding a type means adding a line here, its payload,
// its schema and its example in testdata; a test names what is missing.
var catalogue = []entry{
	{Definition{TypeSaleCompleted, "integration.sale_completed", "SALES_ORDER", "1.0", true}, codecOf[SaleCompleted](mustObjectOf(reflect.TypeFor[SaleCompleted]()))},
	{Definition{TypeReceiptCompleted, "integration.receipt_completed", "RECEIPT", "1.0", true}, codecOf[ReceiptCompleted](mustObjectOf(reflect.TypeFor[ReceiptCompleted]()))},
	{Definition{TypeTransferInitiated, "integration.transfer_initiated", "TRANSFER", "1.0", true}, codecOf[TransferInitiated](mustObjectOf(reflect.TypeFor[TransferInitiated]()))},
	{Definition{TypeStockAdjusted, "integration.stock_adjusted", "STOCK_ADJUSTMENT", "1.0", true}, codecOf[StockAdjusted](mustObjectOf(reflect.TypeFor[StockAdjusted]()))},
	{Definition{TypeStockCounted, "integration.stock_counted", "STOCK_COUNT", "1.0", true}, codecOf[StockCounted](mustObjectOf(reflect.TypeFor[StockCounted]()))},
	{Definition{TypeInventoryUpdated, "inventory.updated", "INVENTORY_POSITION", "1.0", false}, codecOf[InventoryUpdated](mustObjectOf(reflect.TypeFor[InventoryUpdated]()))},
	{Definition{TypeInventoryLowStock, "inventory.low_stock", "INVENTORY_POSITION", "1.0", false}, codecOf[InventoryLowStock](mustObjectOf(reflect.TypeFor[InventoryLowStock]()))},
	{Definition{TypeLotExpiring, "inventory.lot_expiring", "LOT", "1.0", false}, codecOf[LotExpiring](mustObjectOf(reflect.TypeFor[LotExpiring]()))},
	{Definition{TypeRuleChanged, "inventory.rule_changed", "REPLENISHMENT_RULE", "1.0", false}, codecOf[RuleChanged](mustObjectOf(reflect.TypeFor[RuleChanged]()))},
	{Definition{TypeReplenishmentTriggered, "inventory.replenishment_triggered", "REPLENISHMENT_RULE", "1.0", false}, codecOf[ReplenishmentTriggered](mustObjectOf(reflect.TypeFor[ReplenishmentTriggered]()))},
	{Definition{TypePurchaseOrderCreated, "purchase_order.created", "PURCHASE_ORDER", "1.0", false}, codecOf[PurchaseOrderCreated](mustObjectOf(reflect.TypeFor[PurchaseOrderCreated]()))},
	{Definition{TypePurchaseOrderApproved, "purchase_order.approved", "PURCHASE_ORDER", "1.0", false}, codecOf[PurchaseOrderApproved](mustObjectOf(reflect.TypeFor[PurchaseOrderApproved]()))},
	{Definition{TypePurchaseOrderCancelled, "purchase_order.cancelled", "PURCHASE_ORDER", "1.0", false}, codecOf[PurchaseOrderCancelled](mustObjectOf(reflect.TypeFor[PurchaseOrderCancelled]()))},
	{Definition{TypeForecastGenerated, "forecast.generated", "FORECAST", "1.0", false}, codecOf[ForecastGenerated](mustObjectOf(reflect.TypeFor[ForecastGenerated]()))},
}

// entry is a line of the catalogue: what a type is called, and how its payload is read and written.
type entry struct {
	Definition
	codec codec
}

// byType finds a type's entry. It is filled once and only read afterwards.
var byType = func() map[Type]*entry {
	m := make(map[Type]*entry, len(catalogue))
	for i := range catalogue {
		m[catalogue[i].Type] = &catalogue[i]
	}
	return m
}()

// Types gives all types in the catalogue's order. The slice is the caller's own.
func Types() []Type {
	types := make([]Type, len(catalogue))
	for i := range catalogue {
		types[i] = catalogue[i].Type
	}
	return types
}

// Lookup gives a type's definition, and false when the catalogue does not have it.
func Lookup(t Type) (Definition, bool) {
	e, ok := byType[t]
	if !ok {
		return Definition{}, false
	}
	return e.Definition, true
}

// RoutingKey gives what events of this type are published with, and "" when the catalogue does not have it.
func (t Type) RoutingKey() string {
	d, _ := Lookup(t)
	return d.RoutingKey
}
