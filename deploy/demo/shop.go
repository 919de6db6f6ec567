package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockview"
)

// Shop is the seeded world. It knows what really lies on its shelves, which the
// ledger only hears of.
type Shop struct {
	seed     uint64
	first    event.Date
	zone     *time.Location
	shelf    map[masterdata.PositionKey]int64
	underway []move
	sold     []want // yesterday's, some of which come back
	voice    voice
}

// move is goods on their way from the warehouse to a store.
type move struct {
	id, item, to string
	pieces       int64
}

// NewShop makes the shop of a seed, with empty shelves.
func NewShop(seed uint64) (*Shop, error) {
	zone, err := time.LoadLocation(shopZone)
	if err != nil {
		return nil, fmt.Errorf("finding the shop's time zone: %w", err)
	}
	return &Shop{seed: seed, first: opening, zone: zone, shelf: map[masterdata.PositionKey]int64{}, voice: voice{tenant: Tenant, space: fmt.Sprintf("shop/%d", seed)}}, nil
}

// Tenant is whose shop it is.
func (s *Shop) Tenant() string { return Tenant }

// Days begin with the opening, or on the day after the shop was left; they do not end.
func (s *Shop) Days() (first, last event.Date) { return s.first, "" }

func (s *Shop) facts() facts {
	return facts{seed: s.seed, voice: &s.voice, zone: s.zone, sources: sources, keeps: keeps, expires: true, rejects: func(o Waiting, n int) string {
		if n%12 == 3 {
			return "too much at once"
		}
		return ""
	}}
}

// Resume takes the shelves for what the fleet knows of them. The day on which
// the shop was left stays as short as it was.
func (s *Shop) Resume(left event.Date, stock []stockview.Stock, underway []Underway) error {
	s.first = left.AddDays(1)
	for _, row := range stock {
		s.shelf[masterdata.PositionKey{Tenant: row.Tenant, Item: row.Item, Location: row.Location}] = row.OnHand.IntPart()
	}
	for _, u := range underway {
		s.underway = append(s.underway, move{u.ID, u.Item, u.To, u.Quantity.IntPart()})
	}
	return nil
}

// Morning takes in what was on its way, and on the first day fills the shelves:
// what keeps for ever is counted, what expires is received, each with its lot.
func (s *Shop) Morning(date event.Date) (Said, error) {
	day, said := date.Time(), Said{}
	for _, m := range s.underway {
		at := s.clock(day, 6, 15, 0)
		s.shelf[masterdata.PositionKey{Tenant: Tenant, Item: m.item, Location: m.to}] += m.pieces
		said.log(s.voice.say(at, "wms", "R-"+m.id, event.ReceiptCompleted{
			ReceiptID: "R-" + m.id, ItemID: m.item, LocationID: m.to, Quantity: event.NewDecimal(m.pieces), TransferID: m.id, Timestamp: at,
		}))
	}
	s.underway = nil
	if date == opening {
		s.stock(day, &said)
	}
	return said, s.voice.err
}

// stock fills the shelves before the first day.
func (s *Shop) stock(day time.Time, said *Said) {
	at := s.clock(day, 5, 30, 0)
	for _, p := range products {
		for _, l := range places {
			pieces := planFor(p, l).first
			s.shelf[s.key(p, l)] = pieces
			id := "OPENING-" + p.id + "-" + l.id
			if p.keeps == 0 {
				said.log(s.voice.say(at, "wms", id, event.StockCounted{CountID: id, ItemID: p.id, LocationID: l.id, Quantity: event.NewDecimal(pieces)}))
				continue
			}
			said.log(s.voice.say(at, "wms", id, event.ReceiptCompleted{
				ReceiptID: id, ItemID: p.id, LocationID: l.id, Quantity: event.NewDecimal(pieces), Timestamp: at,
				LotNumber: "OPENING", ExpiryDate: event.DateOf(day).AddDays(p.keeps),
			}))
		}
	}
}

// Arrive puts a delivery on the shelf.
func (s *Shop) Arrive(d Delivery, date event.Date) event.Any {
	s.shelf[masterdata.PositionKey{Tenant: Tenant, Item: d.Item, Location: d.Location}] += d.Quantity.IntPart()
	return d.receipt(&s.voice, s.clock(date.Time(), 7, 0, 0))
}

// Trade is a day's customers: who finds enough takes it, who does not takes what
// there is and goes. Of yesterday's sales some come back.
func (s *Shop) Trade(_ context.Context, date event.Date) (Said, error) {
	said, numbers := Said{}, map[string]int{}
	today := s.wants(date)
	all := append(s.returns(date), today...)
	slices.SortStableFunc(all, func(a, b want) int { return a.at.Compare(b.at) })
	for _, w := range all {
		p, l := products[w.product], places[w.place]
		key := s.key(p, l)
		pieces := w.pieces
		if pieces > 0 {
			pieces = min(w.pieces, max(0, s.shelf[key]))
			said.Wanted += w.pieces
			said.Lost += w.pieces - pieces
		}
		if pieces == 0 {
			continue
		}
		s.shelf[key] -= pieces
		if pieces > 0 && s.shelf[key] == 0 {
			said.happened("%s has sold its last %s", l.name, p.name)
		}
		numbers[l.id]++
		s.ring(&said, date, w, pieces, numbers[l.id])
	}
	s.sold = today
	return said, s.voice.err
}

// ring is the till's word for one line of a sale.
func (s *Shop) ring(said *Said, date event.Date, w want, pieces int64, number int) {
	p, l := products[w.product], places[w.place]
	id := fmt.Sprintf("%s-%s-%04d", l.id, date, number)
	price, err := event.ParseDecimal(p.price)
	s.voice.keep(err)
	quantity := event.NewDecimal(pieces)
	e := s.voice.say(w.at, "till-"+l.id, id, event.SaleCompleted{
		SaleID: id, ItemID: p.id, ItemName: p.name, LocationID: l.id, Quantity: quantity, Amount: price.Mul(quantity), Timestamp: w.at,
	})
	if l.direct {
		said.Direct = append(said.Direct, e)
	} else {
		said.log(e)
	}
}

// returns are pieces of yesterday that somebody brings back, one in fifty sales.
func (s *Shop) returns(date event.Date) (back []want) {
	d := dice(s.seed, date, "returns")
	for _, w := range s.sold {
		if d.IntN(50) == 0 && products[w.product].keeps == 0 || d.IntN(120) == 0 {
			w.at = s.clock(date.Time(), 9, d.IntN(60), 0)
			w.pieces = -1
			back = append(back, w)
		}
	}
	return back
}
