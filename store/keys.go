package store

import (
	"slices"
	"strings"
)

// PositionKey names a position: an item of a tenant at a location.
type PositionKey struct {
	Tenant   string `db:"tenant_id"`
	Item     string `db:"item_id"`
	Location string `db:"location_id"`
}

// ItemKey names an item of a tenant.
type ItemKey struct{ Tenant, Item string }

func comparePositionKeys(a, b PositionKey) int {
	if c := strings.Compare(a.Tenant, b.Tenant); c != 0 {
		return c
	}
	if c := strings.Compare(a.Item, b.Item); c != 0 {
		return c
	}
	return strings.Compare(a.Location, b.Location)
}

func keyColumns(keys []PositionKey) (tenants, items, locations *Texts) {
	tenants, items, locations = NewTexts(len(keys), 16), NewTexts(len(keys), 16), NewTexts(len(keys), 16)
	for _, k := range keys {
		tenants.add(k.Tenant)
		items.add(k.Item)
		locations.add(k.Location)
	}
	return tenants, items, locations
}

// LocationKey names a location of a tenant.
type LocationKey struct {
	Tenant   string `db:"tenant_id"`
	Location string `db:"location_id"`
}

func compareLocationKeys(a, b LocationKey) int {
	if c := strings.Compare(a.Tenant, b.Tenant); c != 0 {
		return c
	}
	return strings.Compare(a.Location, b.Location)
}

func locationColumns(keys []LocationKey) (tenants, locations *Texts) {
	tenants, locations = NewTexts(len(keys), 16), NewTexts(len(keys), 16)
	for _, k := range keys {
		tenants.add(k.Tenant)
		locations.add(k.Location)
	}
	return tenants, locations
}

func locationsOf(keys []PositionKey) []LocationKey {
	var places []LocationKey
	seen := map[LocationKey]bool{}
	for _, k := range keys {
		if p := (LocationKey{k.Tenant, k.Location}); !seen[p] {
			seen[p] = true
			places = append(places, p)
		}
	}
	slices.SortFunc(places, compareLocationKeys)
	return places
}
