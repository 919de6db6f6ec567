package demo

import (
	"time"

	"github.com/composerp/composerp/store/masterdata"
)

// Tenant is whose shop it is.
const Tenant = "demo-shop"

// place is where goods lie and are sold. direct: its till publishes to the
// exchange itself, as an outsider's does.
type place struct {
	id, name    string
	share       float64 // of what all places together are asked for
	opens, shut int     // hours
	weekdays    [7]float64
	direct      bool
}

const (
	warehouse  = "WAREHOUSE"
	storeNorth = "STORE-NORTH"
	storeSouth = "STORE-SOUTH"
)

var places = []place{
	{warehouse, "Warehouse and web shop", 0.40, 8, 22, [7]float64{1.05, 1.1, 1.05, 1, 1, 0.95, 0.85}, false},
	{storeNorth, "Store North", 0.35, 9, 19, [7]float64{0.7, 0.8, 0.85, 0.9, 1, 1.2, 1.55}, false},
	{storeSouth, "Store South", 0.25, 9, 19, [7]float64{0.7, 0.8, 0.85, 0.9, 1, 1.2, 1.55}, true},
}

// shopZone is where the shop stands: its days are those of Berlin.
const shopZone = "Europe/Berlin"

// opening is the first day of the shop, a Monday.
const opening = "2026-02-02"

// keptFromSupplier tells whether suppliers bring a product to the stores as well:
// what is fresh or goes fast. The rest lies in the warehouse, which fills the
// stores' shelves.
func (p product) keptFromSupplier() bool {
	return p.habit == fast || p.supplier == bakery || p.supplier == dairy
}

// ordered tells whether the place orders the product itself.
func (p product) ordered(at place) bool { return at.id == warehouse || p.keptFromSupplier() }

// mean is how many pieces of the product the place is asked for on a day, in season.
func (p product) mean(at place) float64 { return p.perDay * at.share }

func (s *Shop) key(p product, at place) masterdata.PositionKey {
	return masterdata.PositionKey{Tenant: Tenant, Item: p.id, Location: at.id}
}

// clock gives a moment of a day as the shop's clocks show it.
func (s *Shop) clock(day time.Time, hour, minute, second int) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), hour, minute, second, 0, s.zone)
}
