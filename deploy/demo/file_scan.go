package demo

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/workers/runtime/importer"
)

// fileScan is what a first pass over a file finds. It grows with the items of the file, not with its rows.
type fileScan struct {
	tenant      string
	first, last event.Date
	items       map[masterdata.PositionKey]*itemScan
	newOn       map[event.Date][]masterdata.PositionKey
}

// itemScan is what the file shows of an item at a location.
type itemScan struct {
	name   string
	first  event.Date
	sold   float64   // pieces in its first weeks
	days   float64   // how many days these are, fewer at the file's end
	prices []float64 // of its first sales
}

// What the plan of an item is made from: the pieces of its first weeks, the prices of its first sales.
const (
	firstWeeks  = 28 // days
	firstPrices = 51
)

var errNothing = errors.New("the file has no sales")

// scan reads the file once.
func scan(ctx context.Context, path string, mapping *importer.Mapping, zone *time.Location) (*fileScan, error) {
	s := &fileScan{items: map[masterdata.PositionKey]*itemScan{}, newOn: map[event.Date][]masterdata.PositionKey{}}
	err := importer.Events(ctx, path, mapping, func(e event.Any) error {
		s.add(e, masterdata.BusinessDate(e.Timestamp, zone))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(s.items) == 0 {
		return nil, errNothing
	}
	for _, key := range s.keys() {
		i := s.items[key]
		i.days = min(firstWeeks, s.last.Time().Sub(i.first.Time()).Hours()/24+1)
		s.newOn[i.first] = append(s.newOn[i.first], key)
	}
	return s, nil
}

func (s *fileScan) add(e event.Any, date event.Date) {
	if s.tenant == "" {
		s.tenant, s.first, s.last = e.TenantID, date, date
	}
	s.first, s.last = min(s.first, date), max(s.last, date)
	sale, _ := e.Payload.(event.SaleCompleted)
	item, at := importer.Moved(e.Payload)
	if len(at) != 1 || e.TenantID != s.tenant { // a transfer says nothing of demand
		return
	}
	key := masterdata.PositionKey{Tenant: e.TenantID, Item: item, Location: at[0]}
	i := s.items[key]
	if i == nil {
		i = &itemScan{first: date}
		s.items[key] = i
	}
	i.first = min(i.first, date)
	i.name = cmp.Or(i.name, sale.ItemName)
	pieces := sale.Quantity.InexactFloat64()
	// One customer's huge order says nothing of the weeks to come.
	if pieces > 0 && date < i.first.AddDays(firstWeeks) {
		i.sold += min(pieces, bulk)
	}
	if price := sale.Amount.InexactFloat64() / pieces; pieces > 0 && price > 0 && len(i.prices) < firstPrices {
		i.prices = append(i.prices, price)
	}
}

// bulk is the most pieces of one line that count as demand of an item's first weeks.
const bulk = 1000

// mean is the pieces sold a day in the item's first weeks.
func (i *itemScan) mean() float64 { return i.sold / max(1, i.days) }

// pack is the pack size: items that sell faster come in larger packs.
func (i *itemScan) pack() int64 {
	switch mean := i.mean(); {
	case mean < 0.3:
		return 6
	case mean < 2:
		return 12
	case mean < 10:
		return 24
	}
	return 48
}

// opening is the stock on an item's first day: the reorder point and two weeks of demand, at least a pack.
func (i *itemScan) opening(c supplier) int64 {
	return i.reorderPoint(c) + max(i.pack(), int64(math.Ceil(14*i.mean())))
}

// reorderPoint is one and a half times the demand of the supplier's lead time.
func (i *itemScan) reorderPoint(c supplier) int64 {
	return int64(math.Ceil(1.5*i.mean()*float64(c.leadDays))) + 1
}

// cost is a share of the median of its first prices, at least a penny.
func (i *itemScan) cost() float64 {
	if len(i.prices) == 0 {
		return 0.01
	}
	sorted := slices.Sorted(slices.Values(i.prices))
	return max(0.01, math.Round(100*costShare*sorted[len(sorted)/2])/100)
}

// costShare is the assumed share of the cost in the price.
const costShare = 0.55
