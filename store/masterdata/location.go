package masterdata

import (
	"cmp"
	"context"
	"time"
	_ "time/tzdata" // for servers without a zone database, as in a small container

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
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

func (l *Location) begin() { l.Timezone = cmp.Or(l.Timezone, "UTC") }

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

var locations = kind[Location, *Location]{
	what:  "locations",
	table: "location",
	keys:  2,
	fixed: struct{ column, value string }{"kind", "'stock'"},
}.withStatements()

// SetLocations replaces locations as a whole.
func SetLocations(ctx context.Context, db *store.DB, list []Location) (Written, error) {
	return EditLocations(ctx, db, replaceEdits(list, func(_, given *Location) { given.begin() }), false)
}

// EditLocations changes parts of locations; a dry run only checks the edits and reports what they would do.
func EditLocations(ctx context.Context, db *store.DB, edits []Edit[Location], dryRun bool) (Written, error) {
	return locations.edit(ctx, db, edits, dryRun)
}

// Locations lists locations by key, without the virtual ones.
func Locations(ctx context.Context, db *store.DB, f Filter) ([]Location, error) {
	return locations.list(ctx, db, f)
}
