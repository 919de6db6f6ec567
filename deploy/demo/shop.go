// Package demo is a small seeded world to show what Composerp does: a shop with
// a warehouse and two stores, and some weeks of its life. The same seed gives
// the same events, byte for byte, so that feeding them twice changes nothing.
package demo

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
)

// Tenant is whose shop it is.
const Tenant = "demo-shop"

const (
	warehouse = "WAREHOUSE"
	days      = 21
)

var stores = []string{"STORE-NORTH", "STORE-SOUTH"}

type product struct {
	id, name string
	price    string
	perDay   float64 // mean pieces a day and store
}

var products = []product{
	{"COF-ESP-1KG", "Espresso beans 1 kg", "18.90", 9},
	{"COF-FIL-500", "Filter coffee 500 g", "7.49", 12},
	{"TEA-EGR-100", "Earl Grey 100 bags", "5.25", 6},
	{"TEA-GRN-050", "Green tea 50 bags", "3.95", 4},
	{"CHO-DRK-100", "Dark chocolate 100 g", "2.79", 20},
	{"CHO-MLK-100", "Milk chocolate 100 g", "2.49", 24},
	{"BSC-OAT-300", "Oat biscuits 300 g", "3.10", 11},
	{"MUG-STN-035", "Stoneware mug 0.35 l", "9.50", 3},
	{"POT-GLS-100", "Glass teapot 1 l", "24.00", 0.7},
	{"GRN-MAN-001", "Hand grinder", "39.00", 0.4},
	{"FLT-PAP-100", "Paper filters 100", "1.99", 15},
	{"KTL-GSE-080", "Gooseneck kettle 0.8 l", "54.90", 0.3},
}

// Shop is the world as a list of events in the order of business time.
type Shop struct {
	// Logged are events of the warehouse and the northern till, which say them
	// to the log; Direct are those of the southern till, which publishes to the
	// exchange itself.
	Logged, Direct []event.Any
	Thresholds     map[store.PositionKey]event.Decimal

	random *rand.Rand
	seed   uint64
	next   int
	onHand map[store.PositionKey]int64 // what the shop's people would find
	err    error
}

// NewShop lives the shop's weeks. It can fail only by a mistake in this package.
func NewShop(seed uint64) (*Shop, error) {
	s := &Shop{seed: seed, random: rand.New(rand.NewPCG(seed, 21)), Thresholds: map[store.PositionKey]event.Decimal{}, onHand: map[store.PositionKey]int64{}}
	opening := time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC)
	for _, p := range products {
		s.receive(opening.Add(6*time.Hour), p)
		for _, place := range stores {
			s.transfer(opening.Add(7*time.Hour), p, place, int64(p.perDay*4)+2)
			s.Thresholds[at(p, place)] = event.NewDecimal(int64(p.perDay) + 1)
		}
	}
	for day := range days {
		s.trade(opening.AddDate(0, 0, day), day)
	}
	return s, s.err
}

func at(p product, place string) store.PositionKey {
	return store.PositionKey{Tenant: Tenant, Item: p.id, Location: place}
}

// trade is one day: goods come in on Mondays, sales and returns all day, each
// third evening the stores are filled up, and now and then there is a mishap or,
// on Saturdays, a count.
func (s *Shop) trade(day time.Time, number int) {
	if day.Weekday() == time.Monday {
		for _, p := range products {
			s.receive(day.Add(6*time.Hour+30*time.Minute), p)
		}
	}
	for minute := 9 * 60; minute < 19*60; minute += 5 {
		now := day.Add(time.Duration(minute) * time.Minute)
		for _, place := range stores {
			for _, p := range products {
				if s.random.Float64() < p.perDay/120/1.6 {
					s.sell(now.Add(time.Duration(s.random.IntN(300))*time.Second), p, place)
				}
			}
		}
	}
	evening := day.Add(20 * time.Hour)
	for _, place := range stores {
		p := products[s.random.IntN(len(products))]
		if s.random.IntN(3) == 0 {
			s.adjust(evening, p, place, -1-int64(s.random.IntN(3)), "damaged")
		}
		if number%3 == 2 {
			for _, p := range products {
				s.transfer(evening.Add(time.Hour), p, place, int64(p.perDay*3)+1)
			}
		}
		if day.Weekday() == time.Saturday && place == stores[0] {
			s.count(evening.Add(30*time.Minute), p, place)
		}
	}
}

func (s *Shop) sell(when time.Time, p product, place string) {
	pieces := 1 + int64(s.random.IntN(2))*int64(s.random.IntN(3))
	if s.random.IntN(40) == 0 {
		pieces = -1 // brought back
	}
	s.onHand[at(p, place)] -= pieces
	quantity := event.NewDecimal(pieces)
	price, err := event.ParseDecimal(p.price)
	s.keep(err)
	s.say(when, place, fmt.Sprintf("till-%s", place), event.SaleCompleted{
		SaleID: s.number("S"), ItemID: p.id, ItemName: p.name, LocationID: place, Quantity: quantity, Amount: price.Mul(quantity), Timestamp: when,
	})
}

// receive takes in a week's worth for both stores.
func (s *Shop) receive(when time.Time, p product) {
	pieces := int64(p.perDay*7*float64(len(stores))) + 4
	s.onHand[at(p, warehouse)] += pieces
	s.say(when, warehouse, "wms", event.ReceiptCompleted{
		ReceiptID: s.number("R"), ItemID: p.id, LocationID: warehouse, Quantity: event.NewDecimal(pieces), LotNumber: s.number("L"), Timestamp: when,
	})
}

// transfer sends goods on the road and takes them in three hours later.
func (s *Shop) transfer(when time.Time, p product, to string, pieces int64) {
	id, arrives, quantity := s.number("T"), when.Add(3*time.Hour), event.NewDecimal(pieces)
	s.onHand[at(p, warehouse)] -= pieces
	s.onHand[at(p, to)] += pieces
	s.say(when, warehouse, "wms", event.TransferInitiated{
		TransferID: id, ItemID: p.id, FromLocationID: warehouse, ToLocationID: to, Quantity: quantity,
	})
	s.say(arrives, warehouse, "wms", event.ReceiptCompleted{
		ReceiptID: s.number("R"), ItemID: p.id, LocationID: to, Quantity: quantity, TransferID: id, Timestamp: arrives,
	})
}

func (s *Shop) adjust(when time.Time, p product, place string, pieces int64, reason string) {
	s.onHand[at(p, place)] += pieces
	s.say(when, warehouse, "wms", event.StockAdjusted{
		AdjustmentID: s.number("A"), ItemID: p.id, LocationID: place, Quantity: event.NewDecimal(pieces), Reason: reason,
	})
}

// count finds what is there, and now and then a piece more or less.
func (s *Shop) count(when time.Time, p product, place string) {
	found := max(0, s.onHand[at(p, place)]+int64(s.random.IntN(4))-2)
	s.onHand[at(p, place)] = found
	s.say(when, warehouse, "wms", event.StockCounted{
		CountID: s.number("C"), ItemID: p.id, LocationID: place, Quantity: event.NewDecimal(found),
	})
}

// say makes the event and puts it on its road.
func (s *Shop) say(when time.Time, place, source string, payload event.Payload) {
	id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "composerp-demo/%d/%d", s.seed, s.next))
	e, err := event.Encode(event.Envelope{
		ID: id, TenantID: Tenant, AggregateID: fmt.Sprintf("%06d", s.next), Timestamp: when, Metadata: event.Metadata{Source: source},
	}, payload)
	s.keep(err)
	if place == stores[1] {
		s.Direct = append(s.Direct, e)
	} else {
		s.Logged = append(s.Logged, e)
	}
}

func (s *Shop) number(prefix string) string {
	s.next++
	return fmt.Sprintf("%s%06d", prefix, s.next)
}

func (s *Shop) keep(err error) {
	if s.err == nil {
		s.err = err
	}
}
