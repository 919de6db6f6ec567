package masterdata

import (
	"cmp"
	"context"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Item is what is bought, kept and sold.
type Item struct {
	Tenant string `db:"tenant_id" json:"tenantId"`
	Item   string `db:"item_id" json:"itemId"`
	Name   string `db:"name" json:"name"`
	// Unit is the unit of its quantities; empty means each.
	Unit string `db:"unit" json:"unit"`
	// Pack: orders are rounded up to whole packs of this size; 0 means 1.
	Pack event.Decimal `db:"pack" json:"pack"`
	// UnitCost is what a supplier charges for one unit; nil: not known, which is not the same as free.
	UnitCost *event.Decimal `db:"unit_cost" json:"unitCost"`
	// Incomplete: a till or a rule has named the item and master data has not completed it, or it has no name. The
	// store maintains it.
	Incomplete bool `db:"incomplete" json:"incomplete"`
}

func (i *Item) key() ItemKey { return ItemKey{i.Tenant, i.Item} }

func (i Item) withDefaults() Item {
	i.Unit = cmp.Or(i.Unit, "each")
	if i.Pack.IsZero() {
		i.Pack = event.NewDecimal(1)
	}
	return i
}

func (i *Item) checkKey() error {
	return firstError(checkID("tenantId", i.Tenant), checkID("itemId", i.Item))
}

// Check validates the item; the error is an *InvalidError.
func (i *Item) Check() error {
	return firstError(
		i.checkKey(), checkName("name", i.Name), checkID("unit", i.Unit),
		checkPositive("pack", &i.Pack), checkNotNegative("unitCost", i.UnitCost),
	)
}

// SetItems replaces items as a whole. An item with a name is complete then.
func SetItems(ctx context.Context, db *store.DB, items []Item) (Written, error) {
	return EditItems(ctx, db, replaceEdits(items, func(_, given *Item) { *given = given.withDefaults() }), false)
}

// EditItems changes parts of items; a dry run only checks the edits and reports what they would do.
func EditItems(ctx context.Context, db *store.DB, edits []Edit[Item], dryRun bool) (Written, error) {
	return registry[Item, ItemKey]{
		what:     "items",
		key:      (*Item).key,
		checkKey: (*Item).checkKey,
		begin:    func(of *Item) Item { return Item{Tenant: of.Tenant, Item: of.Item}.withDefaults() },
		settle:   func(i *Item) { i.Incomplete = i.Name == "" },
		check:    (*Item).Check,
		read:     readByKey[Item](itemsByKey, func(k ItemKey) []any { return []any{k.Tenant, k.Item} }),
		write: writeRows(writeItemRows, func(i *Item) []any {
			return []any{i.Tenant, i.Item, i.Name, i.Unit, i.Pack, i.UnitCost, i.Incomplete}
		}),
	}.edit(ctx, db, edits, dryRun)
}

var itemsByKey = pg.SQL(`
SELECT i.tenant_id, i.item_id, i.name, i.unit, i.pack, i.unit_cost, i.incomplete
FROM unnest($1::text[], $2::text[]) AS k(tenant_id, item_id) JOIN item i USING (tenant_id, item_id)
ORDER BY i.tenant_id, i.item_id
FOR NO KEY UPDATE OF i`)

var writeItemRows = pg.SQL(`
INSERT INTO item (tenant_id, item_id, name, unit, pack, unit_cost, incomplete)
SELECT n.tenant_id, n.item_id, n.name, n.unit, n.pack, n.unit_cost, n.incomplete
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::numeric[], $7::boolean[])
     AS n(tenant_id, item_id, name, unit, pack, unit_cost, incomplete)
ORDER BY n.tenant_id, n.item_id
ON CONFLICT (tenant_id, item_id) DO UPDATE
SET name = excluded.name, unit = excluded.unit, pack = excluded.pack, unit_cost = excluded.unit_cost, incomplete = excluded.incomplete`)

var listItems = pg.SQL(`
SELECT i.tenant_id, i.item_id, i.name, i.unit, i.pack, i.unit_cost, i.incomplete
FROM item i
WHERE ($1 = '' OR i.tenant_id = $1) AND ($2 = '' OR i.item_id = $2) AND (i.incomplete OR NOT $3)
ORDER BY i.tenant_id, i.item_id LIMIT nullif($4, 0)`)

// Items lists items by key.
func Items(ctx context.Context, db *store.DB, f Filter) ([]Item, error) {
	return pg.List[Item](ctx, db, "listing items", listItems, f.Tenant, f.Item, f.Incomplete, f.Limit)
}
