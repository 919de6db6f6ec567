package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/stockview"
)

// Shop is the seeded scenario. It knows the real stock, which may differ from the ledger's.
type Shop struct {
	seed      uint64
	first     event.Date
	zone      *time.Location
	onHand    map[masterdata.PositionKey]int64
	inTransit []Transfer // from the warehouse to the stores
	sold      []basket   // the day before; some are returned
	producer  producer
}

// NewShop makes the shop of a seed, without stock.
func NewShop(seed uint64) (*Shop, error) {
	zone, err := time.LoadLocation(shopZone)
	if err != nil {
		return nil, fmt.Errorf("finding the shop's time zone: %w", err)
	}
	return &Shop{seed: seed, first: opening, zone: zone, onHand: map[masterdata.PositionKey]int64{}, producer: producer{tenant: Tenant, space: fmt.Sprintf("shop/%d", seed)}}, nil
}

// Tenant is the shop's tenant.
func (s *Shop) Tenant() string { return Tenant }

// Days begin with the opening, or after the last simulated day; they do not end.
func (s *Shop) Days() (first, last event.Date) { return s.first, "" }

func (s *Shop) facts() facts {
	return facts{seed: s.seed, producer: &s.producer, zone: s.zone, suppliers: shopSuppliers, shelfLife: shelfLifeOf, expires: true, rejection: func(_ purchasing.WaitingOrder, n int) string {
		if n%12 == 3 {
			return "too much at once"
		}
		return ""
	}}
}

// Resume takes the ledger's stock for the real one. A last day that was interrupted stays incomplete.
func (s *Shop) Resume(left event.Date, stock []stockview.Stock, transfers []Transfer) error {
	s.first = left.AddDays(1)
	for _, row := range stock {
		s.onHand[masterdata.PositionKey{Tenant: row.Tenant, Item: row.Item, Location: row.Location}] = row.OnHand.IntPart()
	}
	s.inTransit = append(s.inTransit, transfers...)
	return nil
}

// OpenDay receives the transfers of the day before, and on the first day the opening stock: goods that do not expire
// are counted, goods that do are received with a lot.
func (s *Shop) OpenDay(date event.Date) (Activity, error) {
	day, activity := date.Time(), Activity{}
	for _, m := range s.inTransit {
		at := s.clock(day, 6, 15, 0)
		s.onHand[masterdata.PositionKey{Tenant: Tenant, Item: m.Item, Location: m.To}] += m.Quantity.IntPart()
		activity.add(s.producer.encode(at, "wms", "R-"+m.ID, event.ReceiptCompleted{
			ReceiptID: "R-" + m.ID, ItemID: m.Item, LocationID: m.To, Quantity: m.Quantity, TransferID: m.ID, Timestamp: at,
		}))
	}
	s.inTransit = nil
	if date == opening {
		s.openingStock(day, &activity)
	}
	return activity, s.producer.err
}

// openingStock is the stock of the first day.
func (s *Shop) openingStock(day time.Time, activity *Activity) {
	at := s.clock(day, 5, 30, 0)
	for _, p := range products {
		for _, l := range locations {
			pieces := planFor(p, l).first
			s.onHand[s.key(p, l)] = pieces
			id := "OPENING-" + p.id + "-" + l.id
			if p.shelfLife == 0 {
				activity.add(s.producer.encode(at, "wms", id, event.StockCounted{CountID: id, ItemID: p.id, LocationID: l.id, Quantity: event.NewDecimal(pieces)}))
				continue
			}
			activity.add(s.producer.encode(at, "wms", id, event.ReceiptCompleted{
				ReceiptID: id, ItemID: p.id, LocationID: l.id, Quantity: event.NewDecimal(pieces), Timestamp: at,
				LotNumber: "OPENING", ExpiryDate: event.DateOf(day).AddDays(p.shelfLife),
			}))
		}
	}
}

// Arrive adds a delivery to the stock.
func (s *Shop) Arrive(d Delivery, date event.Date) event.Any {
	s.onHand[masterdata.PositionKey{Tenant: Tenant, Item: d.Item, Location: d.Location}] += d.Quantity.IntPart()
	return d.receipt(&s.producer, s.clock(date.Time(), 7, 0, 0))
}

// Trade serves a day's customers, each with as much as is in stock. Some of the sales of the day before are returned.
func (s *Shop) Trade(_ context.Context, date event.Date) (Activity, error) {
	activity, numbers := Activity{}, map[string]int{}
	today := s.baskets(date)
	all := append(s.returns(date), today...)
	slices.SortStableFunc(all, func(a, b basket) int { return a.at.Compare(b.at) })
	for _, w := range all {
		p, l := products[w.product], locations[w.location]
		key := s.key(p, l)
		pieces := w.pieces
		if pieces > 0 {
			pieces = min(w.pieces, max(0, s.onHand[key]))
			activity.Wanted += w.pieces
			activity.Lost += w.pieces - pieces
		}
		if pieces == 0 {
			continue
		}
		s.onHand[key] -= pieces
		if pieces > 0 && s.onHand[key] == 0 {
			activity.note("%s has sold its last %s", l.name, p.name)
		}
		numbers[l.id]++
		s.sell(&activity, date, w, pieces, numbers[l.id])
	}
	s.sold = today
	return activity, s.producer.err
}

// sell is the till's event for one line of a sale.
func (s *Shop) sell(activity *Activity, date event.Date, w basket, pieces int64, number int) {
	p, l := products[w.product], locations[w.location]
	id := fmt.Sprintf("%s-%s-%04d", l.id, date, number)
	price, err := event.ParseDecimal(p.price)
	s.producer.keepError(err)
	quantity := event.NewDecimal(pieces)
	e := s.producer.encode(w.at, "till-"+l.id, id, event.SaleCompleted{
		SaleID: id, ItemID: p.id, ItemName: p.name, LocationID: l.id, Quantity: quantity, Amount: price.Mul(quantity), Timestamp: w.at,
	})
	if l.direct {
		activity.Direct = append(activity.Direct, e)
	} else {
		activity.add(e)
	}
}

// returns are pieces of the day before that customers bring back, about one in fifty sales.
func (s *Shop) returns(date event.Date) (back []basket) {
	d := randomFor(s.seed, date, "returns")
	for _, w := range s.sold {
		if d.IntN(50) == 0 && products[w.product].shelfLife == 0 || d.IntN(120) == 0 {
			w.at = s.clock(date.Time(), 9, d.IntN(60), 0)
			w.pieces = -1
			back = append(back, w)
		}
	}
	return back
}
