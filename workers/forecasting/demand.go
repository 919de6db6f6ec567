package forecasting

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/workers/worker"
)

// demandOf adds up what customers took and brought back, a row an item, location and day.
func demandOf(days []dated) []planning.Demand {
	type key struct {
		masterdata.PositionKey
		day event.Date
	}
	at := make(map[key]int, len(days))
	rows := make([]planning.Demand, 0, len(days))
	for i := range days {
		d := &days[i]
		if d.update.TransactionType != event.TransactionSale && d.update.TransactionType != event.TransactionReturn {
			continue
		}
		k := key{masterdata.PositionKey{Tenant: d.TenantID, Item: d.update.ItemID, Location: d.update.LocationID}, d.day}
		n, known := at[k]
		if !known {
			n = len(rows)
			at[k] = n
			rows = append(rows, planning.Demand{PositionKey: k.PositionKey, Day: k.day})
		}
		// The quantity is the stock's change: what is sold goes out.
		if d.update.TransactionType == event.TransactionSale {
			rows[n].Sold = rows[n].Sold.Sub(d.update.Change)
		} else {
			rows[n].Returned = rows[n].Returned.Add(d.update.Change)
		}
	}
	return rows
}

// placesOf gives the locations of a batch, each once.
func placesOf(days []dated) []masterdata.LocationKey {
	places := make([]masterdata.LocationKey, 0, 1)
	for i := range days {
		if !slices.Contains(places, days[i].at) {
			places = append(places, days[i].at)
		}
	}
	return places
}

// closeDays opens the days of events that are later than the open one of their
// location, in arrival order, and writes down which forecasts are due by that.
func closeDays(ctx context.Context, tx *worker.Tx, later []dated) error {
	first := map[masterdata.LocationKey]event.Date{}
	for _, d := range later {
		if day, known := first[d.at]; !known || d.day < day {
			first[d.at] = d.day
		}
	}
	calendars, err := planning.LockCalendars(ctx, tx, first)
	if err != nil {
		return err
	}
	var due []planning.ForecastRun
	for i := range later {
		d := &later[i]
		c := calendars[d.at]
		if d.Metadata.History || d.day <= c.Open { // another slot has opened it meanwhile, or an event before this one
			continue
		}
		c.Open = d.day
		closed := d.day.AddDays(-1)
		if closed < c.LastRun.AddDays(c.Cadence) {
			continue
		}
		due = append(due, planning.ForecastRun{
			LocationKey: d.at, AsOf: closed, Previous: c.LastRun, ClosedBy: d.ID, ClosedAt: d.Timestamp,
			CorrelationID: cmp.Or(d.Metadata.CorrelationID, d.ID.String()), Traceparent: d.Metadata.Traceparent, Replay: d.Metadata.Replay,
		})
		c.LastRun = closed
	}
	return planning.CloseDays(ctx, tx, slices.Collect(maps.Values(calendars)), due)
}
