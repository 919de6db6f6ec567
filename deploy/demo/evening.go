package demo

import (
	"fmt"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
)

// Evening is what a day leaves behind: something broke, something was taken
// unseen, what expires goes to the bin, shelves that ran low are filled from the
// warehouse, and on Saturdays one aisle is counted.
func (s *Shop) Evening(date event.Date, lots []lots.OnHandLots) (Said, error) {
	day, said := date.Time(), Said{}
	for _, l := range places {
		d := dice(s.seed, date, "mishap@"+l.id)
		if d.IntN(3) == 0 {
			s.breakage(&said, day, products[d.IntN(len(products))], l, 1+int64(d.IntN(3)))
		}
		// Nobody says this; a count finds it.
		if key := s.key(products[d.IntN(len(products))], l); d.IntN(4) == 0 && s.shelf[key] > 0 {
			s.shelf[key]--
		}
	}
	s.throwAway(&said, day, lots)
	s.fill(&said, day)
	if day.Weekday() == time.Saturday {
		s.countAisle(&said, day)
	}
	return said, s.voice.err
}

func (s *Shop) breakage(said *Said, day time.Time, p product, l place, pieces int64) {
	pieces = min(pieces, s.shelf[s.key(p, l)])
	if pieces <= 0 {
		return
	}
	s.shelf[s.key(p, l)] -= pieces
	id := fmt.Sprintf("A-%s-%s", event.DateOf(day), l.id)
	said.log(s.voice.say(s.clock(day, 22, 10, 0), "wms", id, event.StockAdjusted{
		AdjustmentID: id, ItemID: p.id, LocationID: l.id, Quantity: event.NewDecimal(-pieces), Reason: "damaged",
	}))
}

// expired is the reason that the shop gives for what it throws away.
const expired = "expired"

// throwAway takes out what the lots' list says will be too old tomorrow.
func (s *Shop) throwAway(said *Said, day time.Time, lots []lots.OnHandLots) {
	for _, shelf := range lots {
		key := masterdata.PositionKey{Tenant: shelf.Tenant, Item: shelf.Item, Location: shelf.Location}
		pieces := int64(0)
		for _, l := range shelf.Lots {
			if l.DaysLeft != nil && *l.DaysLeft <= 0 {
				pieces += l.Quantity.IntPart()
			}
		}
		pieces = min(pieces, s.shelf[key])
		if pieces <= 0 {
			continue
		}
		s.shelf[key] -= pieces
		id := fmt.Sprintf("X-%s-%s-%s", event.DateOf(day), key.Item, key.Location)
		said.log(s.voice.say(s.clock(day, 22, 5, 0), "wms", id, event.StockAdjusted{
			AdjustmentID: id, ItemID: key.Item, LocationID: key.Location, Quantity: event.NewDecimal(-pieces), Reason: expired,
		}))
	}
}

// fill sends from the warehouse what a store's shelf is short of, at most half
// of what lies there: the web shop sells it too.
func (s *Shop) fill(said *Said, day time.Time) {
	at := s.clock(day, 22, 30, 0)
	for _, p := range products {
		for _, l := range places {
			if p.ordered(l) {
				continue
			}
			plan := planFor(p, l)
			if s.shelf[s.key(p, l)] >= plan.threshold {
				continue
			}
			from := s.key(p, places[0])
			pieces := min(plan.first-s.shelf[s.key(p, l)], s.shelf[from]/2)
			if pieces <= 0 {
				continue
			}
			s.shelf[from] -= pieces
			m := move{fmt.Sprintf("T-%s-%s-%s", event.DateOf(day), p.id, l.id), p.id, l.id, pieces}
			s.underway = append(s.underway, m)
			said.log(s.voice.say(at, "wms", m.id, event.TransferInitiated{
				TransferID: m.id, ItemID: p.id, FromLocationID: warehouse, ToLocationID: l.id, Quantity: event.NewDecimal(pieces),
			}))
		}
	}
}

// countAisle counts ten products in one place, another place each week.
func (s *Shop) countAisle(said *Said, day time.Time) {
	week := int(day.Unix() / (7 * 24 * 3600))
	l, first := places[week%len(places)], week*10%len(products)
	for _, p := range products[first:min(first+10, len(products))] {
		id := fmt.Sprintf("C-%s-%s-%s", event.DateOf(day), p.id, l.id)
		said.log(s.voice.say(s.clock(day, 23, 0, 0), "wms", id, event.StockCounted{
			CountID: id, ItemID: p.id, LocationID: l.id, Quantity: event.NewDecimal(max(0, s.shelf[s.key(p, l)])),
		}))
	}
	said.happened("%s has counted an aisle", l.name)
}
