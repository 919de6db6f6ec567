package masterdata

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/internal/pg"
)

// A rule inserted meanwhile without the editors' lock is overwritten and its version counts on: the version comes from
// the row.
var writeRulesSQL = pg.SQL(`
INSERT INTO replenishment_rule AS r (tenant_id, item_id, location_id, mode, supplier_id, reorder_point, order_up_to, order_quantity,
                                     pack_size, minimum_order, service_level, cover_days, low_stock_threshold)
SELECT n.tenant_id, n.item_id, n.location_id, n.mode, nullif(n.supplier_id, ''), n.reorder_point, n.order_up_to, n.order_quantity,
       n.pack_size, n.minimum_order, n.service_level, n.cover_days, n.low_stock_threshold
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[], $8::numeric[],
            $9::numeric[], $10::numeric[], $11::numeric[], $12::int[], $13::numeric[])
     AS n(tenant_id, item_id, location_id, mode, supplier_id, reorder_point, order_up_to, order_quantity,
          pack_size, minimum_order, service_level, cover_days, low_stock_threshold)
ORDER BY n.tenant_id, n.item_id, n.location_id
ON CONFLICT (tenant_id, item_id, location_id) DO UPDATE
SET mode = excluded.mode, supplier_id = excluded.supplier_id, reorder_point = excluded.reorder_point,
    order_up_to = excluded.order_up_to, order_quantity = excluded.order_quantity, pack_size = excluded.pack_size,
    minimum_order = excluded.minimum_order, service_level = excluded.service_level, cover_days = excluded.cover_days,
    low_stock_threshold = excluded.low_stock_threshold, version = r.version + 1
RETURNING r.tenant_id, r.item_id, r.location_id, r.version`)

// writeRules writes rules and emits RULE_CHANGED for each.
func writeRules(ctx context.Context, tx store.Tx, rows []*edited[Rule], at time.Time) error {
	n := len(rows)
	keys, fresh, columns := make([]PositionKey, n), make([]PositionKey, 0, n), pg.NewColumns(13, n)
	for i, e := range rows {
		r := &e.row
		keys[i] = r.Key()
		if e.before == "" {
			fresh = append(fresh, keys[i])
		}
		columns.Add(r.Tenant, r.Item, r.Location, r.Mode, r.Supplier, r.ReorderPoint, r.OrderUpTo, r.OrderQuantity,
			r.PackSize, r.MinimumOrder, r.ServiceLevel, r.CoverDays, r.LowStockThreshold)
	}
	if err := CreateItemsAndLocations(ctx, tx, fresh, nil); err != nil {
		return err
	}
	versions := make(map[PositionKey]int64, n)
	err := pg.Each(ctx, tx, "writing them", writeRulesSQL, func(row *sql.Rows) error {
		var k PositionKey
		var version int64
		err := row.Scan(&k.Tenant, &k.Item, &k.Location, &version)
		versions[k] = version
		return err
	}, columns...)
	if err != nil {
		return err
	}
	return emitRulesChanged(ctx, tx, keys, versions, at)
}

var lastMovements = pg.SQL(`
SELECT coalesce(s.last_movement_at, $4) FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k(tenant_id, item_id, location_id, ord)
LEFT JOIN stock s USING (tenant_id, item_id, location_id) ORDER BY k.ord`)

func emitRulesChanged(ctx context.Context, tx store.Tx, keys []PositionKey, versions map[PositionKey]int64, at time.Time) error {
	moved, err := pg.List[time.Time](ctx, tx, "reading their last movements", lastMovements, append(KeyColumns(keys), at.UTC())...)
	if err != nil {
		return err
	}
	events := make([]event.Any, len(keys))
	for i, k := range keys {
		if events[i], err = ruleChanged(k, versions[k], moved[i]); err != nil {
			return fmt.Errorf("building RULE_CHANGED for %s at %s: %w", k.Item, k.Location, err)
		}
	}
	return eventlog.Append(ctx, tx, events)
}
