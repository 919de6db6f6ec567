package demo

import (
	"time"

	"github.com/composerp/composerp/store/masterdata"
)

// Tenant is the shop's tenant.
const Tenant = "demo-shop"

// location is where goods are stored and sold. direct: its till publishes straight over AMQP, as an external publisher.
type location struct {
	id, name    string
	share       float64 // of the demand at all locations
	opens, shut int     // hours
	weekdays    [7]float64
	direct      bool
}

const (
	warehouse  = "WAREHOUSE"
	storeNorth = "STORE-NORTH"
	storeSouth = "STORE-SOUTH"
)

var locations = []location{
	{warehouse, "Warehouse and web shop", 0.40, 8, 22, [7]float64{1.05, 1.1, 1.05, 1, 1, 0.95, 0.85}, false},
	{storeNorth, "Store North", 0.35, 9, 19, [7]float64{0.7, 0.8, 0.85, 0.9, 1, 1.2, 1.55}, false},
	{storeSouth, "Store South", 0.25, 9, 19, [7]float64{0.7, 0.8, 0.85, 0.9, 1, 1.2, 1.55}, true},
}

// shopZone is the shop's time zone.
const shopZone = "Europe/Berlin"

// opening is the first day of the shop, a Monday.
const opening = "2026-02-02"

// suppliedToStores reports whether suppliers deliver a product to the stores as well: fresh and fast-moving goods. The
// warehouse restocks the stores with all others.
func (p product) suppliedToStores() bool {
	return p.pattern == fast || p.supplier == bakery || p.supplier == dairy
}

// ordersItself reports whether the location orders the product from its supplier.
func (p product) ordersItself(at location) bool { return at.id == warehouse || p.suppliedToStores() }

// mean is how many pieces of the product are asked for at the location on a day, in season.
func (p product) mean(at location) float64 { return p.perDay * at.share }

func (s *Shop) key(p product, at location) masterdata.PositionKey {
	return masterdata.PositionKey{Tenant: Tenant, Item: p.id, Location: at.id}
}

// clock gives a time of day in the shop's time zone.
func (s *Shop) clock(day time.Time, hour, minute, second int) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), hour, minute, second, 0, s.zone)
}
