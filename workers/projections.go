package workers

import (
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/ledger"
	"github.com/composerp/composerp/store/projection"
	"github.com/composerp/composerp/workers/analytics"
	"github.com/composerp/composerp/workers/lots"
	"github.com/composerp/composerp/workers/stockview"
)

// Projections are the read models that can be rebuilt from the log, and the positions of the ledger, which can be held
// against it. Raise a version when the rows that its code gives change.
//
// The lots depend on the order of events: a rebuild books them in the log's order, which is that of one slot. What lots
// were said to expire (lot_expiring) stays, for the rebuilt lots have the ids of the live ones.
func Projections() []projection.Projection {
	position := []string{"tenant_id", "item_id", "location_id"}
	return []projection.Projection{
		{
			Name: "stockview", Version: 1, Worker: "stockview", Types: stockview.Types, Fold: stockview.Fold,
			Tables: []projection.Table{
				{Name: "stock", Key: position},
				{Name: "low_stock", Key: position},
				{Name: "stock_order", Key: []string{"tenant_id", "purchase_order_id"}},
				{Name: "stock_order_line", Key: append(position[:3:3], "purchase_order_id")},
				{Name: "stock_receipt", Key: append(position[:3:3], "event_id")},
				{Name: "stock_supply", Key: position},
				{Name: "stock_outlook", Key: position},
			},
		},
		{
			Name: "lots", Version: 1, Worker: "lots", Types: []event.Type{event.TypeInventoryUpdated}, Fold: lots.Fold, Once: true,
			Tables: []projection.Table{
				{Name: "lot_balance", Key: position, Identity: "id"},
				{Name: "lot", Key: []string{"balance_id", "lot_number", "expiry"}},
			},
		},
		{
			Name: "analytics", Version: 1, Worker: "analytics", Types: []event.Type{event.TypeForecastGenerated}, Fold: analytics.Fold,
			Tables: []projection.Table{{Name: "forecast", Key: []string{"tenant_id", "location_id", "item_id", "start_day"}}},
		},
		{
			Name: "positions", Version: 1, Types: []event.Type{event.TypeInventoryUpdated}, Fold: ledger.FoldPositions, Opens: true,
			Tables: []projection.Table{{
				Name: "position", Key: position, Columns: []string{"on_hand", "reserved", "sequence"},
				Where: "left(location_id, 1) <> '@' AND sequence > 0",
			}},
		},
	}
}
