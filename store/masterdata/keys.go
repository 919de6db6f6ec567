package masterdata

import (
	"cmp"
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
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Item, b.Item), strings.Compare(a.Location, b.Location))
}

// KeyColumns returns the keys as one array a column.
func KeyColumns(keys []PositionKey) pg.Columns {
	columns := pg.NewColumns(3, len(keys))
	for _, k := range keys {
		columns.Add(k.Tenant, k.Item, k.Location)
	}
	return columns
}

// LocationKey identifies a location of a tenant.
type LocationKey struct {
	Tenant   string `db:"tenant_id"`
	Location string `db:"location_id"`
}

// CompareLocationKeys orders keys as ComparePositionKeys does.
func CompareLocationKeys(a, b LocationKey) int {
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Location, b.Location))
}

// LocationColumns returns the keys as one array a column.
func LocationColumns(keys []LocationKey) pg.Columns {
	columns := pg.NewColumns(2, len(keys))
	for _, k := range keys {
		columns.Add(k.Tenant, k.Location)
	}
	return columns
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
