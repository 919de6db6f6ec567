package demo

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/stockview"
)

// World is what lies outside of Composerp: the shop, or the days of a file.
type World interface {
	Tenant() string
	// Days gives the first day and, where there is one, the last.
	Days() (first, last event.Date)
	// Master is what its planners write down, the suppliers being reached below an address.
	Master(suppliers string) (Master, error)
	// Resume takes up a world that was left on a day.
	Resume(left event.Date, stock []stockview.Stock, underway []Underway) error
	// Morning, Trade and Evening are what is said in the parts of a day; in the
	// evening somebody looks at the lots, where the world's goods expire.
	Morning(date event.Date) (Said, error)
	Trade(ctx context.Context, date event.Date) (Said, error)
	Evening(date event.Date, lots []lots.OnHandLots) (Said, error)
	// Arrive takes a delivery in and says so.
	Arrive(d Delivery, date event.Date) event.Any

	facts() facts
}

// facts are what the people around a world must know of it.
type facts struct {
	seed    uint64
	voice   *voice
	zone    *time.Location
	sources []source
	keeps   func(item string) int // days an item keeps, 0 for ever
	expires bool                  // some items do not keep
	// lostIsSold: a till sells what is not there, so that what was lost is among what was sold.
	lostIsSold bool
	// rejects tells whether the buyer turns a waiting order down; n counts those that waited, from 1.
	rejects func(o Waiting, n int) (reason string)
}

// Waiting is an order that policy has left to a person.
type Waiting struct {
	OrderID, PONumber, Supplier string
	Amount                      event.Decimal
	Created                     event.Date
}

// Underway is goods that have left one place and are not yet at the other.
type Underway struct {
	ID, Item, To string
	Quantity     event.Decimal
}
