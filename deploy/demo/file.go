package demo

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/workers/runtime/importer"
)

// File is the scenario of a real till: its days are those of a file. Its sales have happened, so stock may fall below
// zero. Suppliers and the buyer act as in the shop.
type File struct {
	path     string
	mapping  *importer.Mapping
	mode     string
	zone     *time.Location
	scan     *fileScan
	onHand   map[masterdata.PositionKey]float64
	left     event.Date // the last day of an earlier run
	days     *dayReader
	producer producer
}

// NewFile scans the file for its items: their first day, demand and price. mode is the mode of the items' rules.
func NewFile(ctx context.Context, path string, mapping *importer.Mapping, mode string) (*File, error) {
	f := &File{path: path, mapping: mapping, mode: mode, zone: time.UTC, onHand: map[masterdata.PositionKey]float64{}}
	if mapping != nil {
		f.zone = mapping.Zone()
	}
	var err error
	if f.scan, err = scan(ctx, path, mapping, f.zone); err != nil {
		return nil, err
	}
	f.producer = producer{tenant: f.scan.tenant, space: "file/" + f.scan.tenant}
	return f, nil
}

// Tenant is the tenant of the file's events.
func (f *File) Tenant() string { return f.scan.tenant }

// Days are the file's, from the last day of an earlier run on: the log recognises the events of that day.
func (f *File) Days() (first, last event.Date) { return max(f.left, f.scan.first), f.scan.last }

func (f *File) facts() facts {
	return facts{
		seed: 1, producer: &f.producer, zone: f.zone, suppliers: fileSuppliers, shelfLife: func(string) int { return 0 },
		sellsWithoutStock: true, rejection: rejectAbsurd,
	}
}

// rejectAbsurd rejects orders that a mistyped sale has caused: the till has cancelled it meanwhile.
func rejectAbsurd(o purchasing.WaitingOrder, _ int) string {
	if limit := event.NewDecimal(fileApprovalLimit * absurdFactor); limit.LessThan(o.Total) {
		return "far above the usual amount"
	}
	return ""
}

// Resume takes the ledger's stock for the real one.
func (f *File) Resume(left event.Date, stock []stockview.Stock, _ []Transfer) error {
	f.left = left
	for _, row := range stock {
		f.onHand[masterdata.PositionKey{Tenant: row.Tenant, Item: row.Item, Location: row.Location}] = row.OnHand.InexactFloat64()
	}
	return nil
}

// OpenDay counts the items that the file sells for the first time on this day.
func (f *File) OpenDay(date event.Date) (Activity, error) {
	activity := Activity{}
	at := f.hour(date, 5)
	for _, key := range f.scan.newOn[date] {
		pieces := f.scan.items[key].opening(supplierOf(key.Item))
		f.onHand[key] = float64(pieces)
		id := fmt.Sprintf("OPENING-%.48s", key.Item)
		activity.add(f.producer.encodeKeyed(at, "wms", id, key.Item+"\x00"+key.Location, event.StockCounted{
			CountID: id, ItemID: key.Item, LocationID: key.Location, Quantity: event.NewDecimal(pieces),
		}))
	}
	return activity, f.producer.err
}

// Arrive takes a delivery in.
func (f *File) Arrive(d Delivery, date event.Date) event.Any {
	f.onHand[masterdata.PositionKey{Tenant: d.Tenant, Item: d.Item, Location: d.Location}] += d.Quantity.InexactFloat64()
	return d.receipt(&f.producer, f.hour(date, 6))
}

// hour is a time of day in the till's time zone.
func (f *File) hour(date event.Date, hour int) time.Time {
	day := date.Time()
	return time.Date(day.Year(), day.Month(), day.Day(), hour, 0, 0, 0, f.zone)
}

// Trade gives the file's events of a day, as importing them would.
func (f *File) Trade(ctx context.Context, date event.Date) (Activity, error) {
	if f.days == nil {
		first, _ := f.Days()
		f.days = readDays(ctx, f, first)
	}
	events, err := f.days.day(date)
	if err != nil {
		return Activity{}, err
	}
	activity := Activity{Logged: events}
	for i := range events {
		f.book(&activity, events[i])
	}
	return activity, nil
}

// book applies an event to the stock and counts the pieces that were sold without stock.
func (f *File) book(activity *Activity, e event.Any) {
	switch p := e.Payload.(type) {
	case event.SaleCompleted:
		key, pieces := masterdata.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}, p.Quantity.InexactFloat64()
		if pieces > 0 {
			activity.Wanted += int64(math.Round(pieces))
			activity.Lost += int64(math.Round(pieces - min(pieces, max(0, f.onHand[key]))))
		}
		f.onHand[key] -= pieces
	case event.StockAdjusted:
		f.onHand[masterdata.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}] += p.Quantity.InexactFloat64()
	case event.StockCounted:
		f.onHand[masterdata.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}] = p.Quantity.InexactFloat64()
	}
}

// CloseDay has no events: the file holds all there are.
func (f *File) CloseDay(event.Date, []lots.OnHandLots) (Activity, error) { return Activity{}, nil }
