// Package analytics keeps what was forecast and what then happened, and says how
// good the forecasts were.
//
// It hears forecasts and movements and writes both down in tables of its own: the
// forecast as it was said, by the day it begins, and what customers took and
// brought back by the location's calendar day, as package forecasting understands
// demand. Nothing is computed on the way: a late event changes what happened, so
// the measures are taken when somebody asks (Accuracy), of closed days alone.
//
// # Invariants
//
//   - An event's quantity is in its day once, a forecast is kept as it was said
//     last: both in the transaction of the inbox row. Sums and the latest word come
//     out the same in whatever order batches are handled.
//   - Locks are taken in one order: forecasts, days, calendars, each by key.
//
// # What a crash leaves
//
//	before the batch's commit     nothing; the broker delivers again
//	after it, before the ack      what was heard; the second delivery is known to
//	                              the inbox
package analytics

import (
	"context"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/worker"
)

// New declares the analytics worker.
func New() worker.Worker {
	return worker.New("analytics", worker.OnBatch(note, event.TypeForecastGenerated, event.TypeInventoryUpdated),
		worker.Linger(100*time.Millisecond))
}

// note writes down a batch of forecasts and movements.
func note(ctx context.Context, tx *worker.Tx, events []event.Any) error {
	forecasts := map[string]store.Forecast{}
	var movements []event.Of[event.InventoryUpdated]
	for _, e := range events {
		switch p := e.Payload.(type) {
		case event.ForecastGenerated:
			forecasts[p.ItemID+"\x00"+p.LocationID+"\x00"+e.TenantID+"\x00"+string(p.StartDate)] = forecastOf(e.TenantID, p)
		case event.InventoryUpdated:
			movements = append(movements, event.Of[event.InventoryUpdated]{Envelope: e.Envelope, Payload: p})
		}
	}
	if len(forecasts) > 0 {
		rows := make([]store.Forecast, 0, len(forecasts))
		for _, f := range forecasts {
			rows = append(rows, f)
		}
		if err := tx.KeepForecasts(ctx, rows); err != nil {
			return err
		}
	}
	if len(movements) == 0 {
		return nil
	}
	return noteOutcome(ctx, tx, movements)
}

func forecastOf(tenant string, p event.ForecastGenerated) store.Forecast {
	f := store.Forecast{
		Tenant: tenant, Item: p.ItemID, Location: p.LocationID, Method: p.Method, Start: p.StartDate, ErrorStdDev: p.ErrorStdDev,
		Daily: make([]float64, len(p.DailyDemand)),
	}
	for i, units := range p.DailyDemand {
		f.Daily[i] = units.InexactFloat64()
	}
	return f
}

// noteOutcome adds up what customers took and brought back, and opens days.
func noteOutcome(ctx context.Context, tx *worker.Tx, movements []event.Of[event.InventoryUpdated]) error {
	places := make([]store.LocationKey, 0, 1)
	for i := range movements {
		if at := placeOf(&movements[i]); !slices.Contains(places, at) {
			places = append(places, at)
		}
	}
	zones, err := tx.Zones(ctx, places)
	if err != nil {
		return err
	}
	newest := make(map[store.LocationKey]event.Date, len(places))
	days := newDays(len(movements))
	for i := range movements {
		m := &movements[i]
		at := placeOf(m)
		day := store.BusinessDate(m.Timestamp, zones[at])
		newest[at] = max(newest[at], day)
		days.add(m, day)
	}
	open, err := tx.AddOutcome(ctx, days.rows, places)
	if err != nil {
		return err
	}
	for at, day := range newest {
		if day <= open[at] {
			delete(newest, at)
		}
	}
	if len(newest) == 0 {
		return nil
	}
	return tx.CloseOutcomes(ctx, newest)
}

func placeOf(m *event.Of[event.InventoryUpdated]) store.LocationKey {
	return store.LocationKey{Tenant: m.TenantID, Location: m.Payload.LocationID}
}

// days are rows of demand, one an item, location and day.
type days struct {
	at   map[dayKey]int
	rows []store.Demand
}

type dayKey struct {
	store.PositionKey
	day event.Date
}

func newDays(n int) *days {
	return &days{at: make(map[dayKey]int, n), rows: make([]store.Demand, 0, n)}
}

// add takes a movement, which counts when customers made it.
func (d *days) add(m *event.Of[event.InventoryUpdated], day event.Date) {
	p := &m.Payload
	if p.TransactionType != event.TransactionSale && p.TransactionType != event.TransactionReturn {
		return
	}
	k := dayKey{store.PositionKey{Tenant: m.TenantID, Item: p.ItemID, Location: p.LocationID}, day}
	n, known := d.at[k]
	if !known {
		n = len(d.rows)
		d.at[k] = n
		d.rows = append(d.rows, store.Demand{PositionKey: k.PositionKey, Day: day})
	}
	// The quantity is the stock's change: what is sold goes out.
	if p.TransactionType == event.TransactionSale {
		d.rows[n].Sold = d.rows[n].Sold.Sub(p.Quantity)
	} else {
		d.rows[n].Returned = d.rows[n].Returned.Add(p.Quantity)
	}
}
