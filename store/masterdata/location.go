package masterdata

import (
	"cmp"
	"context"
	"time"
	_ "time/tzdata" // for servers without a zone database, as in a small container

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/internal/pg"
)

// Location is where goods stand: a shop, a warehouse.
type Location struct {
	Tenant   string `db:"tenant_id" json:"tenantId"`
	Location string `db:"location_id" json:"locationId"`
	Name     string `db:"name" json:"name"`
	// Timezone is an IANA name that decides the calendar day of a moment there; empty means UTC.
	Timezone string `db:"timezone" json:"timezone"`
	// Currency of its sales and orders, an ISO 4217 code; "": the tenant's.
	Currency string `db:"currency" json:"currency"`
}

func (l *Location) key() LocationKey { return LocationKey{l.Tenant, l.Location} }

func (l Location) withDefaults() Location {
	l.Timezone = cmp.Or(l.Timezone, "UTC")
	return l
}

func (l *Location) checkKey() error {
	return firstError(checkID("tenantId", l.Tenant), checkLocation("locationId", l.Location))
}

// Check validates the location; the error is an *InvalidError.
func (l *Location) Check() error {
	return firstError(l.checkKey(), checkName("name", l.Name), checkTimezone(l.Timezone), checkCurrency(l.Currency))
}

func checkCurrency(code string) error {
	if code != "" && !event.IsCurrency(code) {
		return invalid("currency", "want an ISO 4217 code of three capital letters such as EUR, got %q", code)
	}
	return nil
}

// checkTimezone also refuses Local: it differs on each machine.
func checkTimezone(name string) error {
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		return invalid("timezone", "want an IANA name such as Europe/London, got %q", name)
	}
	return nil
}

// SetLocations replaces locations as a whole.
func SetLocations(ctx context.Context, db *store.DB, locations []Location) (Written, error) {
	return EditLocations(ctx, db, replaceEdits(locations, func(_, given *Location) { *given = given.withDefaults() }), false)
}

// EditLocations changes parts of locations; a dry run only checks the edits and reports what they would do.
func EditLocations(ctx context.Context, db *store.DB, edits []Edit[Location], dryRun bool) (Written, error) {
	return registry[Location, LocationKey]{
		what:     "locations",
		key:      (*Location).key,
		checkKey: (*Location).checkKey,
		begin:    func(of *Location) Location { return Location{Tenant: of.Tenant, Location: of.Location}.withDefaults() },
		check:    (*Location).Check,
		read:     readByKey[Location](locationsByKey, func(k LocationKey) []any { return []any{k.Tenant, k.Location} }),
		write: writeRows(writeLocationRows, func(l *Location) []any {
			return []any{l.Tenant, l.Location, l.Name, l.Timezone, l.Currency}
		}),
	}.edit(ctx, db, edits, dryRun)
}

var locationsByKey = pg.SQL(`
SELECT l.tenant_id, l.location_id, l.name, l.timezone, l.currency
FROM unnest($1::text[], $2::text[]) AS k(tenant_id, location_id) JOIN location l USING (tenant_id, location_id)
ORDER BY l.tenant_id, l.location_id
FOR NO KEY UPDATE OF l`)

var writeLocationRows = pg.SQL(`
INSERT INTO location (tenant_id, location_id, kind, name, timezone, currency)
SELECT n.tenant_id, n.location_id, 'stock', n.name, n.timezone, n.currency
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS n(tenant_id, location_id, name, timezone, currency)
ORDER BY n.tenant_id, n.location_id
ON CONFLICT (tenant_id, location_id) DO UPDATE SET name = excluded.name, timezone = excluded.timezone, currency = excluded.currency`)

var listLocations = pg.SQL(`
SELECT l.tenant_id, l.location_id, l.name, l.timezone, l.currency
FROM location l
WHERE l.kind = 'stock' AND ($1 = '' OR l.tenant_id = $1) AND ($2 = '' OR l.location_id = $2)
ORDER BY l.tenant_id, l.location_id LIMIT nullif($3, 0)`)

// Locations lists locations by key, without the virtual ones.
func Locations(ctx context.Context, db *store.DB, f Filter) ([]Location, error) {
	return pg.List[Location](ctx, db, "listing locations", listLocations, f.Tenant, f.Location, f.Limit)
}
