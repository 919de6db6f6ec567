package demo

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/workers/runtime/importer"
)

// File is the world of a real till: its days are those of a file. What was sold
// cannot be refused, so stock may fall below zero; suppliers and the buyer act as
// in the shop.
type File struct {
	path    string
	mapping *importer.Mapping
	mode    string
	zone    *time.Location
	found   *sighting
	shelf   map[masterdata.PositionKey]float64
	left    event.Date // on which an earlier run ended
	days    *dayReader
	voice   voice
}

// NewFile looks the file through: which items there are, since when, how fast
// they go and at what price. mode is that of its items' rules.
func NewFile(ctx context.Context, path string, mapping *importer.Mapping, mode string) (*File, error) {
	f := &File{path: path, mapping: mapping, mode: mode, zone: time.UTC, shelf: map[masterdata.PositionKey]float64{}}
	if mapping != nil {
		f.zone = mapping.Zone()
	}
	var err error
	if f.found, err = look(ctx, path, mapping, f.zone); err != nil {
		return nil, err
	}
	f.voice = voice{tenant: f.found.tenant, space: "file/" + f.found.tenant}
	return f, nil
}

// Tenant is whose till it is.
func (f *File) Tenant() string { return f.found.tenant }

// Days are the file's, from the one on which an earlier run ended: what was said
// of that is known again.
func (f *File) Days() (first, last event.Date) { return max(f.left, f.found.first), f.found.last }

func (f *File) facts() facts {
	return facts{
		seed: 1, voice: &f.voice, zone: f.zone, sources: fileSources, keeps: func(string) int { return 0 },
		lostIsSold: true, rejects: rejectAbsurd,
	}
}

// rejectAbsurd turns down what nobody can mean: an order for a slip of the till,
// which was taken back meanwhile.
func rejectAbsurd(o Waiting, _ int) string {
	if limit := event.NewDecimal(fileApprovalLimit * absurd); limit.LessThan(o.Amount) {
		return "this must be a slip"
	}
	return ""
}

// Resume takes up the stock.
func (f *File) Resume(left event.Date, stock []stockview.Stock, _ []Underway) error {
	f.left = left
	for _, row := range stock {
		f.shelf[masterdata.PositionKey{Tenant: row.Tenant, Item: row.Item, Location: row.Location}] = row.OnHand.InexactFloat64()
	}
	return nil
}

// Morning counts the items that the file sells for the first time on this day.
func (f *File) Morning(date event.Date) (Said, error) {
	said := Said{}
	at := f.hour(date, 5)
	for _, key := range f.found.newOn[date] {
		pieces := f.found.seen[key].opening(supplierOf(key.Item))
		f.shelf[key] = float64(pieces)
		id := fmt.Sprintf("OPENING-%.48s", key.Item)
		said.log(f.voice.sayOf(at, "wms", id, key.Item+"\x00"+key.Location, event.StockCounted{
			CountID: id, ItemID: key.Item, LocationID: key.Location, Quantity: event.NewDecimal(pieces),
		}))
	}
	return said, f.voice.err
}

// Arrive takes a delivery in.
func (f *File) Arrive(d Delivery, date event.Date) event.Any {
	f.shelf[masterdata.PositionKey{Tenant: d.Tenant, Item: d.Item, Location: d.Location}] += d.Quantity.InexactFloat64()
	return d.receipt(&f.voice, f.hour(date, 6))
}

// hour is a moment of a day by the till's clock.
func (f *File) hour(date event.Date, hour int) time.Time {
	day := date.Time()
	return time.Date(day.Year(), day.Month(), day.Day(), hour, 0, 0, 0, f.zone)
}

// Trade gives the file's events of a day, as importing them would.
func (f *File) Trade(ctx context.Context, date event.Date) (Said, error) {
	if f.days == nil {
		first, _ := f.Days()
		f.days = readDays(ctx, f, first)
	}
	events, err := f.days.day(date)
	if err != nil {
		return Said{}, err
	}
	said := Said{Logged: events}
	for i := range events {
		f.take(&said, events[i])
	}
	return said, nil
}

// take books an event on the shelf and counts what was not there when it was sold.
func (f *File) take(said *Said, e event.Any) {
	switch p := e.Payload.(type) {
	case event.SaleCompleted:
		key, pieces := masterdata.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}, p.Quantity.InexactFloat64()
		if pieces > 0 {
			said.Wanted += int64(math.Round(pieces))
			said.Lost += int64(math.Round(pieces - min(pieces, max(0, f.shelf[key]))))
		}
		f.shelf[key] -= pieces
	case event.StockAdjusted:
		f.shelf[masterdata.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}] += p.Quantity.InexactFloat64()
	case event.StockCounted:
		f.shelf[masterdata.PositionKey{Tenant: e.TenantID, Item: p.ItemID, Location: p.LocationID}] = p.Quantity.InexactFloat64()
	}
}

// Evening is quiet: the file says all there is.
func (f *File) Evening(event.Date, []lots.OnHandLots) (Said, error) { return Said{}, nil }
