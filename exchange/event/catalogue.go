package event

import (
	"reflect"
	"sync"
	"sync/atomic"
)

// Type is the name of an event type, in the past tense: SALE_COMPLETED.
type Type string

// The built-in types.
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
	TypePurchaseOrderEscalated Type = "PURCHASE_ORDER_ESCALATED"
	TypePurchaseOrderClosed    Type = "PURCHASE_ORDER_CLOSED"
	TypeForecastGenerated      Type = "FORECAST_GENERATED"
)

// Definition is a type's entry in the catalogue.
type Definition struct {
	Type Type
	// RoutingKey is the AMQP routing key. Consumers are bound by it and dispatch by the type.
	RoutingKey string
	// AggregateType is the kind of thing the event is about.
	AggregateType string
	// Version is the schema version that Encode writes, "major.minor".
	Version string
	// Outside is true when external publishers, such as tills and warehouses, may publish the type.
	Outside bool
	// Schema is the payload's JSON Schema in this version. It refers to the definitions of envelope-1.0.json.
	Schema string
	// Former are the versions before this one that events are still read in, oldest first.
	Former []Former
	// Payload is the payload's Go struct.
	Payload reflect.Type
}

// builtIn are Composerp's own event types, one line each. A new type needs a constant and a line here, its payload
// struct, and an example in testdata; make generate writes its schema. TestEveryTypeIsComplete names what is missing.
// A new version of a type changes its line, and moves the version before to formers.
var builtIn = []*entry{
	outside[SaleCompleted]("integration.sale_completed", "SALES_ORDER", "1.0"),
	outside[ReceiptCompleted]("integration.receipt_completed", "RECEIPT", "1.0"),
	outside[TransferInitiated]("integration.transfer_initiated", "TRANSFER", "1.0"),
	outside[StockAdjusted]("integration.stock_adjusted", "STOCK_ADJUSTMENT", "1.0"),
	outside[StockCounted]("integration.stock_counted", "STOCK_COUNT", "1.0"),
	inside[InventoryUpdated]("inventory.updated", "INVENTORY_POSITION", "2.0"),
	inside[InventoryLowStock]("inventory.low_stock", "INVENTORY_POSITION", "1.0"),
	inside[LotExpiring]("inventory.lot_expiring", "LOT", "1.0"),
	inside[RuleChanged]("inventory.rule_changed", "REPLENISHMENT_RULE", "1.0"),
	inside[ReplenishmentTriggered]("inventory.replenishment_triggered", "REPLENISHMENT_RULE", "1.0"),
	inside[PurchaseOrderCreated]("purchase_order.created", "PURCHASE_ORDER", "1.0"),
	inside[PurchaseOrderApproved]("purchase_order.approved", "PURCHASE_ORDER", "1.0"),
	inside[PurchaseOrderCancelled]("purchase_order.cancelled", "PURCHASE_ORDER", "1.0"),
	inside[PurchaseOrderEscalated]("purchase_order.escalated", "PURCHASE_ORDER", "1.0"),
	inside[PurchaseOrderClosed]("purchase_order.closed", "PURCHASE_ORDER", "1.0"),
	inside[ForecastGenerated]("forecast.generated", "FORECAST", "1.0"),
}

func outside[T Payload](routingKey, aggregateType, version string) *entry {
	return mustEntry[T](Definition{RoutingKey: routingKey, AggregateType: aggregateType, Version: version, Outside: true})
}

func inside[T Payload](routingKey, aggregateType, version string) *entry {
	return mustEntry[T](Definition{RoutingKey: routingKey, AggregateType: aggregateType, Version: version})
}

// mustEntry returns the entry of a built-in type, with the schema in its file. Schema is empty until make generate has
// written the file.
func mustEntry[T Payload](d Definition) *entry {
	var zero T
	for _, f := range formers[zero.EventType()] {
		f.Schema = schemaText(string(zero.EventType()) + "-" + f.Version + ".json")
		d.Former = append(d.Former, f)
	}
	e, err := entryOf[T](d)
	if err != nil {
		panic(err)
	}
	e.Schema, e.builtIn = schemaText(e.schemaFile()), true
	return e
}

// entry is a type of the catalogue with the codec of its payload.
type entry struct {
	Definition
	codec codec
	older *codec // of the version before, where that differs in names alone
	given bool   // the schema is not made from the struct
	// builtIn: the schemas of former versions were made from the struct of then.
	builtIn bool
}

// schemaFile is the name of the file of the type's schema.
func (e *entry) schemaFile() string { return string(e.Type) + "-" + e.Version + ".json" }

// catalogue holds all event types. It is immutable: Register replaces it, so that readers need no lock.
type catalogue struct {
	entries []*entry
	byType  map[Type]*entry
	evolved bool // a type has former versions
	// schemas compiles all schemas at the first call, so that a command that checks no event does not pay for it.
	schemas func() schemaSet
}

// known is the current catalogue.
var known atomic.Pointer[catalogue]

func init() { known.Store(catalogueOf(builtIn)) }

func catalogueOf(entries []*entry) *catalogue {
	c := &catalogue{entries: entries, byType: make(map[Type]*entry, len(entries))}
	for _, e := range entries {
		c.byType[e.Type] = e
		c.evolved = c.evolved || len(e.Former) > 0
	}
	c.schemas = sync.OnceValue(func() schemaSet {
		set, err := compileSchemas(schemaTexts(entries))
		if err != nil {
			panic(err) // A test compiles the built-in ones, Register each other one.
		}
		for _, e := range entries {
			if s := set.payloads[e.Type][e.Version]; s != nil && !e.given {
				s.fast = e.codec.object.accepts
			}
			if s := set.payloads[e.Type][e.Older()]; s != nil && e.older != nil && e.builtIn {
				s.fast = e.older.object.accepts
			}
		}
		return set
	})
	return c
}

// Types returns all types, the built-in ones first, then the registered ones in the order of registration. The caller
// may change the slice.
func Types() []Type {
	c := known.Load()
	types := make([]Type, len(c.entries))
	for i, e := range c.entries {
		types[i] = e.Type
	}
	return types
}

// Lookup returns a type's definition, and false when the catalogue lacks the type.
func Lookup(t Type) (Definition, bool) {
	e, ok := known.Load().byType[t]
	if !ok {
		return Definition{}, false
	}
	return e.Definition, true
}

// RoutingKey returns the routing key of events of this type, and "" when the catalogue lacks the type.
func (t Type) RoutingKey() string {
	if e, ok := known.Load().byType[t]; ok {
		return e.RoutingKey
	}
	return ""
}
