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
	err    error
}

// NewShop lives the shop's weeks. It can fail only by a mistake in this package.
func NewShop(seed uint64) (*Shop, error) {
	s := &Shop{seed: seed, random: rand.New(rand.NewPCG(seed, 21)), Thresholds: map[store.PositionKey]event.Decimal{}}
	opening := time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC)
	for _, p := range products {
		weekly := int64(p.perDay*7*float64(len(stores))) + 4
		s.receive(opening.Add(6*time.Hour), p, 4*weekly)
		for _, place := range stores {
			s.transfer(opening.Add(7*time.Hour), p, place, weekly)
			s.Thresholds[store.PositionKey{Tenant: Tenant, Item: p.id, Location: place}] = event.NewDecimal(int64(p.perDay*2) + 2)
		}
	}
	for day := range days {
		s.trade(opening.AddDate(0, 0, day), day)
	}
	return s, s.err
}

// trade is one day: sales and returns all day, and now and then a mishap, a
// transfer of what runs short, and on Saturdays a count.
func (s *Shop) trade(day time.Time, number int) {
	for minute := 9 * 60; minute < 19*60; minute += 5 {
		at := day.Add(time.Duration(minute) * time.Minute)
		for _, place := range stores {
			for _, p := range products {
				if s.random.Float64() < p.perDay/120/1.6 {
					s.sell(at.Add(time.Duration(s.random.IntN(300))*time.Second), p, place)
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
		if day.Weekday() == time.Saturday {
			s.count(evening.Add(30*time.Minute), p, place)
		}
	}
}

func (s *Shop) sell(at time.Time, p product, place string) {
	quantity := event.NewDecimal(1 + int64(s.random.IntN(2))*int64(s.random.IntN(3)))
	if s.random.IntN(40) == 0 {
		quantity = event.NewDecimal(-1) // brought back
	}
	price, err := event.ParseDecimal(p.price)
	s.keep(err)
	s.say(at, place, fmt.Sprintf("till-%s", place), event.SaleCompleted{
		SaleID: s.number("S"), ItemID: p.id, ItemName: p.name, LocationID: place, Quantity: quantity, Amount: price.Mul(quantity), Timestamp: at,
	})
}

func (s *Shop) receive(at time.Time, p product, quantity int64) {
	s.say(at, warehouse, "wms", event.ReceiptCompleted{
		ReceiptID: s.number("R"), ItemID: p.id, LocationID: warehouse, Quantity: event.NewDecimal(quantity), LotNumber: s.number("L"), Timestamp: at,
	})
}

// transfer sends goods on the road and takes them in three hours later.
func (s *Shop) transfer(at time.Time, p product, to string, quantity int64) {
	id := s.number("T")
	s.say(at, warehouse, "wms", event.TransferInitiated{
		TransferID: id, ItemID: p.id, FromLocationID: warehouse, ToLocationID: to, Quantity: event.NewDecimal(quantity),
	})
	s.say(at.Add(3*time.Hour), warehouse, "wms", event.ReceiptCompleted{
		ReceiptID: s.number("R"), ItemID: p.id, LocationID: to, Quantity: event.NewDecimal(quantity), TransferID: id, Timestamp: at.Add(3 * time.Hour),
	})
}

func (s *Shop) adjust(at time.Time, p product, place string, quantity int64, reason string) {
	s.say(at, warehouse, "wms", event.StockAdjusted{
		AdjustmentID: s.number("A"), ItemID: p.id, LocationID: place, Quantity: event.NewDecimal(quantity), Reason: reason,
	})
}

func (s *Shop) count(at time.Time, p product, place string) {
	s.say(at, warehouse, "wms", event.StockCounted{
		CountID: s.number("C"), ItemID: p.id, LocationID: place, Quantity: event.NewDecimal(int64(20 + s.random.IntN(30))),
	})
}

// say makes the event and puts it on its road.
func (s *Shop) say(at time.Time, place, source string, payload event.Payload) {
	id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Appendf(nil, "composerp-demo/%d/%d", s.seed, s.next))
	e, err := event.Encode(event.Envelope{
		ID: id, TenantID: Tenant, AggregateID: fmt.Sprintf("%06d", s.next), Timestamp: at, Metadata: event.Metadata{Source: source},
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
