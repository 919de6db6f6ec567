package demo

import (
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
)

// CloseDay ends a day: goods have been damaged or stolen, expiring lots are thrown away, stores that ran low are
// restocked from the warehouse, and on Saturdays ten products are counted.
func (s *Shop) CloseDay(date event.Date, lots []lots.OnHandLots) (Activity, error) {
	day, activity := date.Time(), Activity{}
	for _, l := range locations {
		d := randomFor(s.seed, date, "mishap@"+l.id)
		if d.IntN(3) == 0 {
			s.damage(&activity, day, products[d.IntN(len(products))], l, 1+int64(d.IntN(3)))
		}
		// A theft: no event; a count finds it.
		if key := s.key(products[d.IntN(len(products))], l); d.IntN(4) == 0 && s.onHand[key] > 0 {
			s.onHand[key]--
		}
	}
	s.discardExpired(&activity, day, lots)
	s.restockStores(&activity, day)
	if day.Weekday() == time.Saturday {
		s.countStock(&activity, day)
	}
	return activity, s.producer.err
}

func (s *Shop) damage(activity *Activity, day time.Time, p product, l location, pieces int64) {
	pieces = min(pieces, s.onHand[s.key(p, l)])
	if pieces <= 0 {
		return
	}
	s.onHand[s.key(p, l)] -= pieces
	id := fmt.Sprintf("A-%s-%s", event.DateOf(day), l.id)
	activity.add(s.producer.encode(s.clock(day, 22, 10, 0), "wms", id, event.StockAdjusted{
		AdjustmentID: id, ItemID: p.id, LocationID: l.id, Quantity: event.NewDecimal(-pieces), Reason: "damaged",
	}))
}

// expired is the reason of the adjustment for goods that are thrown away.
const expired = "expired"

// discardExpired removes the lots that expire today.
func (s *Shop) discardExpired(activity *Activity, day time.Time, lots []lots.OnHandLots) {
	for _, held := range lots {
		key := masterdata.PositionKey{Tenant: held.Tenant, Item: held.Item, Location: held.Location}
		pieces := int64(0)
		for _, l := range held.Lots {
			if l.DaysLeft != nil && *l.DaysLeft <= 0 {
				pieces += l.Quantity.IntPart()
			}
		}
		pieces = min(pieces, s.onHand[key])
		if pieces <= 0 {
			continue
		}
		s.onHand[key] -= pieces
		id := fmt.Sprintf("X-%s-%s-%s", event.DateOf(day), key.Item, key.Location)
		activity.add(s.producer.encode(s.clock(day, 22, 5, 0), "wms", id, event.StockAdjusted{
			AdjustmentID: id, ItemID: key.Item, LocationID: key.Location, Quantity: event.NewDecimal(-pieces), Reason: expired,
		}))
	}
}

// restockStores sends goods from the warehouse to stores that are below their threshold, at most half of the
// warehouse's stock: the web shop sells it too.
func (s *Shop) restockStores(activity *Activity, day time.Time) {
	at := s.clock(day, 22, 30, 0)
	for _, p := range products {
		for _, l := range locations {
			if p.ordersItself(l) {
				continue
			}
			plan := planFor(p, l)
			if s.onHand[s.key(p, l)] >= plan.threshold {
				continue
			}
			from := s.key(p, locations[0])
			pieces := min(plan.first-s.onHand[s.key(p, l)], s.onHand[from]/2)
			if pieces <= 0 {
				continue
			}
			s.onHand[from] -= pieces
			m := Transfer{fmt.Sprintf("T-%s-%s-%s", event.DateOf(day), p.id, l.id), p.id, l.id, event.NewDecimal(pieces)}
			s.inTransit = append(s.inTransit, m)
			activity.add(s.producer.encode(at, "wms", m.ID, event.TransferInitiated{
				TransferID: m.ID, ItemID: p.id, FromLocationID: warehouse, ToLocationID: l.id, Quantity: m.Quantity,
			}))
		}
	}
}

// countStock counts ten products at one location, another location each week.
func (s *Shop) countStock(activity *Activity, day time.Time) {
	week := int(day.Unix() / (7 * 24 * 3600))
	l, first := locations[week%len(locations)], week*10%len(products)
	for _, p := range products[first:min(first+10, len(products))] {
		id := fmt.Sprintf("C-%s-%s-%s", event.DateOf(day), p.id, l.id)
		activity.add(s.producer.encode(s.clock(day, 23, 0, 0), "wms", id, event.StockCounted{
			CountID: id, ItemID: p.id, LocationID: l.id, Quantity: event.NewDecimal(max(0, s.onHand[s.key(p, l)])),
		}))
	}
	activity.note("%s has counted ten products", l.name)
}
