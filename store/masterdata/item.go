package masterdata

import (
	"cmp"
	"context"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
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

func (i *Item) begin() {
	i.Unit = cmp.Or(i.Unit, "each")
	if i.Pack.IsZero() {
		i.Pack = event.NewDecimal(1)
	}
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

var items = kind[Item, *Item]{
	what:   "items",
	table:  "item",
	keys:   2,
	settle: func(i *Item) { i.Incomplete = i.Name == "" },
}.withStatements()

// SetItems replaces items as a whole. An item with a name is complete then.
func SetItems(ctx context.Context, db *store.DB, list []Item) (Written, error) {
	return EditItems(ctx, db, replaceEdits(list, func(_, given *Item) { given.begin() }), false)
}

// EditItems changes parts of items; a dry run only checks the edits and reports what they would do.
func EditItems(ctx context.Context, db *store.DB, edits []Edit[Item], dryRun bool) (Written, error) {
	return items.edit(ctx, db, edits, dryRun)
}

// Items lists items by key.
func Items(ctx context.Context, db *store.DB, f Filter) ([]Item, error) {
	return items.list(ctx, db, f)
}
