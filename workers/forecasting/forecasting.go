// Package forecasting keeps the daily demand for every item at every location and
// forecasts, on a cadence of business days, the demand of the days to come.
//
// # What is demand
//
// A day's demand is what was sold on it less what came back on it, and never less
// than zero. A return on the day of the sale takes the sale back: 74,215 pieces
// sold at 10:01 and returned at 10:17 were no demand. A return of another
// day's sale tells nothing about how much is wanted now. Sold and returned are kept
// apart, so that the day's events may come in any order. The day is the location's
// own, in its time zone, by business time. What was wanted and not there is not
// seen: demand is sales.
//
// # Days and runs
//
// Day D of a location closes on the first event of a later day there, whatever it
// is: a day is over when the next has begun, and no clock is asked. When it
// closes and as many days as the tenant's cadence have closed since the last run
// (or since the location's first day), a run is due: a row, written with the
// closing, of the last closed day. A run that is later than its cadence is made
// once, for the day it is late on.
//
// History (metadata.history) closes no day and makes no run due. Where it comes first
// it opens the calendar at its own day, so the first event after it makes one run due,
// from all the demand that history has brought.
//
// The timer makes the forecasts, a piece of a run in each transaction: it takes the
// run's row FOR UPDATE SKIP LOCKED, forecasts the next items from their demand up
// to and including the run's day, emits them, and moves the row on. A run waits for the
// one before it at the same location, so an item's forecasts are emitted in the order
// of their days.
//
// # Invariants
//
//   - An event's quantity is in the demand of its day once: it is added in the
//     transaction of its inbox row.
//   - A calendar never goes back, and each closed day that was due has one run: the
//     calendar's row is locked where days close, and read again after the lock.
//   - Each item of a run is forecast once: its event and the run's next place are
//     committed together. Its id is that of the item, the location and the day.
//   - Locks are taken in one order, demand by key, then calendars by key; the timer
//     locks a run and nothing else.
//
// # What a crash or a delay leaves, step by step
//
//	before the batch's commit     nothing; the broker delivers again
//	after it, before the ack      demand, calendar and runs; the second delivery
//	                              is known to the inbox
//	between two pieces of a run   the run, where it stood; the next timer, here or in
//	                              another process, goes on from there
//	in a piece                    nothing of it; its items are forecast again, from
//	                              the demand as it then is
//	an event that comes late      changes the demand of its day; a forecast that was
//	                              made stays, the next one knows better
//	two slots, days turned round  the later day closes the earlier one; what the
//	                              other slot still brings of that is late
//	a till years ahead of time    its event is a dead letter (eventlog, Business time);
//	                              what one has closed before that was so, composerp
//	                              misdated correct opens again
package forecasting

import (
	"context"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/shadow"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/emits"
	"github.com/composerp/composerp/workers/worker/keeps"
)

// look is how often the timer looks for a run that is due. Forecasts are made once
// in days; the look is one read of an empty index.
const look = time.Second

// New declares the forecasting worker.
func New() worker.Worker { return NewBy("") }

// NewBy declares one that forecasts every item by one method, of method.Names; "": by the one that fits the item best.
func NewBy(one string) worker.Worker {
	return worker.New("forecasting", worker.OnBatch(note, event.TypeInventoryUpdated), worker.Every(look, by(one).forecast),
		emits.Types(event.TypeForecastGenerated), worker.Linger(100*time.Millisecond), keeps.Tables(tables...))
}

// tables are those that note writes.
var tables = []shadow.Table{
	{Name: "demand", Key: []string{"tenant_id", "location_id", "item_id", "day"}},
	{Name: "demand_calendar", Key: []string{"tenant_id", "location_id"}},
	{Name: "forecast_run", Key: []string{"tenant_id", "location_id", "as_of"}},
}

// note adds what customers took and brought back to the demand of its day, and
// closes days. Its one statement is all there is to do as long as no day closes.
func note(ctx context.Context, tx *worker.Tx, events []event.Any) error {
	days, err := read(ctx, tx, events)
	if err != nil {
		return err
	}
	open, err := planning.AddDemand(ctx, tx, demandOf(days), placesOf(days))
	if err != nil {
		return err
	}
	later := days[:0]
	for _, d := range days {
		opened := open[d.at]
		if opened == "" || d.day > opened && !d.Metadata.History {
			later = append(later, d)
		}
	}
	if len(later) == 0 {
		return nil
	}
	return closeDays(ctx, tx, later)
}

// dated is an event and the calendar day it belongs to at its location.
type dated struct {
	event.Envelope
	at     masterdata.LocationKey
	day    event.Date
	update event.InventoryUpdated
}

func read(ctx context.Context, tx *worker.Tx, events []event.Any) ([]dated, error) {
	days := make([]dated, len(events))
	places := make([]masterdata.LocationKey, len(events))
	for i, e := range events {
		of, ok := event.As[event.InventoryUpdated](e)
		if !ok {
			continue
		}
		places[i] = masterdata.LocationKey{Tenant: e.TenantID, Location: of.Payload.LocationID}
		days[i] = dated{Envelope: e.Envelope, at: places[i], update: of.Payload}
	}
	zones, err := masterdata.Zones(ctx, tx, places)
	if err != nil {
		return nil, err
	}
	for i := range days {
		days[i].day = masterdata.BusinessDate(days[i].Timestamp, zones[days[i].at])
	}
	return days, nil
}
