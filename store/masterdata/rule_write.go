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

// writeRules writes rules and emits RULE_CHANGED for each.
func writeRules(ctx context.Context, tx store.Tx, rows []*edited[Rule], at time.Time) error {
	n := len(rows)
	keys, fresh := make([]PositionKey, n), make([]PositionKey, 0, n)
	for i, e := range rows {
		keys[i] = e.row.Key()
		if e.before == "" {
			fresh = append(fresh, keys[i])
		}
	}
	if err := CreateItemsAndLocations(ctx, tx, fresh, nil); err != nil {
		return err
	}
	versions := make(map[PositionKey]int64, n)
	err := pg.Each(ctx, tx, "writing them", rules.insert, func(row *sql.Rows) error {
		var k PositionKey
		var version int64
		err := row.Scan(&k.Tenant, &k.Item, &k.Location, &version)
		versions[k] = version
		return err
	}, columns(rows, rules.written)...)
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
