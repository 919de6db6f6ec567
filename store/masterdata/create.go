package masterdata

import (
	"context"
	"fmt"
	"strings"

	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

func kindOfLocation(location string) string {
	if IsVirtual(location) {
		return location[1:]
	}
	return "stock"
}

// A receipt does not know an item's name, but a sale does. The item's first sale is the first to need its position at
// @customer, and so names the item here.
var createItems = pg.SQL(`
INSERT INTO item (tenant_id, item_id, name)
SELECT DISTINCT ON (tenant_id, item_id) tenant_id, item_id, name FROM unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, item_id, name)
ORDER BY tenant_id, item_id
ON CONFLICT (tenant_id, item_id) DO UPDATE SET name = excluded.name WHERE item.name = '' AND excluded.name <> ''`)

var createLocations = pg.SQL(`
INSERT INTO location (tenant_id, location_id, kind)
SELECT DISTINCT tenant_id, location_id, kind FROM unnest($1::text[], $2::text[], $3::text[]) AS k(tenant_id, location_id, kind)
ORDER BY tenant_id, location_id ON CONFLICT DO NOTHING`)

// CreateItemsAndLocations makes missing items, named by names where it has them, and locations. They are incomplete
// until master data says more.
func CreateItemsAndLocations(ctx context.Context, tx store.Tx, keys []PositionKey, names map[ItemKey]string) error {
	if len(keys) == 0 {
		return nil
	}
	items, locations := pg.NewColumns(3, len(keys)), pg.NewColumns(3, len(keys))
	for _, k := range keys {
		items.Add(k.Tenant, k.Item, names[ItemKey{Tenant: k.Tenant, Item: k.Item}])
		locations.Add(k.Tenant, k.Location, kindOfLocation(k.Location))
	}
	if _, err := pg.Exec(ctx, tx, createItems, items...); err != nil {
		return fmt.Errorf("making their items: %w", err)
	}
	return pg.Write(ctx, tx, "making their locations", createLocations, locations...)
}

// IsVirtual reports whether the location is one of the ledger's own. Names that begin with @ are reserved for these.
func IsVirtual(location string) bool { return strings.HasPrefix(location, "@") }
