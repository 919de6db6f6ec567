package demo

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/stockview"
)

// Scenario is the business that is simulated: the shop, or the days of a file.
type Scenario interface {
	Tenant() string
	// Days gives the first day and the last, "" where there is none.
	Days() (first, last event.Date)
	// Master is its master data, with suppliers that take orders below an address.
	Master(suppliers string) (Master, error)
	// Resume continues a scenario whose last simulated day is left.
	Resume(left event.Date, stock []stockview.Stock, transfers []Transfer) error
	// OpenDay, Trade and CloseDay are the parts of a day. CloseDay gets the lots where the scenario's goods expire.
	OpenDay(date event.Date) (Activity, error)
	Trade(ctx context.Context, date event.Date) (Activity, error)
	CloseDay(date event.Date, lots []lots.OnHandLots) (Activity, error)
	// Arrive takes a delivery in and gives its receipt.
	Arrive(d Delivery, date event.Date) event.Any

	facts() facts
}

// facts are what suppliers, buyer and publisher need to know of a scenario.
type facts struct {
	seed      uint64
	producer  *producer
	zone      *time.Location
	suppliers []supplier
	shelfLife func(item string) int // days until an item expires, 0: never
	expires   bool                  // some items expire
	// sellsWithoutStock: the till sold what was not there, so lost sales are among the sold pieces.
	sellsWithoutStock bool
	// rejection gives the reason for which the buyer rejects a waiting order, "" to approve it; n counts the waiting
	// orders from 1.
	rejection func(o purchasing.WaitingOrder, n int) (reason string)
}

// Transfer is goods that have left one location and have not arrived at the other.
type Transfer struct {
	ID, Item, To string
	Quantity     event.Decimal
}
