package masterdata

import (
	"slices"
	"strings"

	"github.com/composerp/composerp/store/internal/pg"
)

// PositionKey identifies a position: an item of a tenant at a location.
type PositionKey struct {
	Tenant   string `db:"tenant_id"`
	Item     string `db:"item_id"`
	Location string `db:"location_id"`
}

// ItemKey identifies an item of a tenant.
type ItemKey struct{ Tenant, Item string }

// ComparePositionKeys orders keys as PostgreSQL does in the collation C: the order of locking.
func ComparePositionKeys(a, b PositionKey) int {
	if c := strings.Compare(a.Tenant, b.Tenant); c != 0 {
		return c
	}
	if c := strings.Compare(a.Item, b.Item); c != 0 {
		return c
	}
	return strings.Compare(a.Location, b.Location)
}

// KeyColumns returns the keys as one array a column.
func KeyColumns(keys []PositionKey) (tenants, items, locations *pg.Texts) {
	tenants, items, locations = pg.NewTexts(len(keys), 16), pg.NewTexts(len(keys), 16), pg.NewTexts(len(keys), 16)
	for _, k := range keys {
		tenants.Add(k.Tenant)
		items.Add(k.Item)
		locations.Add(k.Location)
	}
	return tenants, items, locations
}

// LocationKey identifies a location of a tenant.
type LocationKey struct {
	Tenant   string `db:"tenant_id"`
	Location string `db:"location_id"`
}

// CompareLocationKeys orders keys as ComparePositionKeys does.
func CompareLocationKeys(a, b LocationKey) int {
	if c := strings.Compare(a.Tenant, b.Tenant); c != 0 {
		return c
	}
	return strings.Compare(a.Location, b.Location)
}

// LocationColumns returns the keys as one array a column.
func LocationColumns(keys []LocationKey) (tenants, locations *pg.Texts) {
	tenants, locations = pg.NewTexts(len(keys), 16), pg.NewTexts(len(keys), 16)
	for _, k := range keys {
		tenants.Add(k.Tenant)
		locations.Add(k.Location)
	}
	return tenants, locations
}

// LocationsOf returns the locations of positions, each once, in key order.
func LocationsOf(keys []PositionKey) []LocationKey {
	var locations []LocationKey
	seen := map[LocationKey]bool{}
	for _, k := range keys {
		if p := (LocationKey{k.Tenant, k.Location}); !seen[p] {
			seen[p] = true
			locations = append(locations, p)
		}
	}
	slices.SortFunc(locations, CompareLocationKeys)
	return locations
}
