package demo

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/stockview"
)

// World is what lies outside of Composerp: the shop, or the days of a file.
type Scenario interface {
	Tenant() string
	// Days gives the first day and, where there is one, the last.
	Days() (first, last event.Date)
	// Master is what its planners write down, the suppliers being reached below an address.
	Master(suppliers string) (Master, error)
	// Resume takes up a world that was left on a day.
	Resume(left event.Date, stock []stockview.Stock, underway []Transfer) error
	// Morning, Trade and Evening are what is said in the parts of a day; in the
	// evening somebody looks at the lots, where the world's goods expire.
	OpenDay(date event.Date) (Activity, error)
	Trade(ctx context.Context, date event.Date) (Activity, error)
	CloseDay(date event.Date, lots []lots.OnHandLots) (Activity, error)
	// Arrive takes a delivery in and says so.
	Arrive(d Delivery, date event.Date) event.Any

	facts() facts
}

// facts are what the people around a world must know of it.
type facts struct {
	seed      uint64
	producer  *producer
	zone      *time.Location
	suppliers []supplier
	shelfLife func(item string) int // days an item keeps, 0 for ever
	expires   bool                  // some items do not keep
	// lostIsSold: a till sells what is not there, so that what was lost is among what was sold.
	soldUnlimited bool
	// rejects tells whether the buyer turns a waiting order down; n counts those that waited, from 1.
	rejection func(o WaitingOrder, n int) (reason string)
}

// Waiting is an order that policy has left to a person.
type WaitingOrder struct {
	OrderID, PONumber, Supplier string
	Amount                      event.Decimal
	Created                     event.Date
}

// Underway is goods that have left one place and are not yet at the other.
type Transfer struct {
	ID, Item, To string
	Quantity     event.Decimal
}
