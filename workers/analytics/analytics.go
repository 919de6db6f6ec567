// Package analytics keeps forecasts, and measures their accuracy by the demand that
// followed.
//
// It writes each forecast as its event has it, by the day it begins. Demand is in
// the tables that forecasting keeps: there is one account of it, so that a forecast
// is compared with the figures it was made from. Nothing is computed in advance: a
// late event changes the demand, so the measures are taken when asked for
// (Accuracy), of closed days alone.
//
// # Invariants
//
//   - A forecast is kept in its latest version, in the transaction of the inbox
//     row: the latest comes out the same in whatever order batches are handled.
//   - Forecasts are written in the order of their key: no two batches deadlock.
//
// # What a crash leaves
//
//	before the batch's commit     nothing; the broker delivers again
//	after it, before the ack      the forecasts; the second delivery is known to
//	                              the inbox
package analytics

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/workers/worker"
	"github.com/composerp/composerp/workers/worker/again"
)

// New declares the analytics worker. An older one kept an account of demand of its own, from movements.
func New() worker.Worker {
	return worker.New("analytics", worker.OnBatch(
		func(ctx context.Context, tx *worker.Tx, events []event.Any) error { return Fold(ctx, tx, events) }, event.TypeForecastGenerated), worker.Formerly(event.TypeInventoryUpdated),
		worker.Linger(100*time.Millisecond), again.Harmless())
}

// Fold writes down a batch of forecasts. Each has one event in the log, whose id follows from its position and day.
func Fold(ctx context.Context, tx store.Tx, events []event.Any) error {
	forecasts := map[string]planning.Forecast{}
	for _, e := range events {
		if p, ok := e.Payload.(event.ForecastGenerated); ok {
			forecasts[p.ItemID+"\x00"+p.LocationID+"\x00"+e.TenantID+"\x00"+string(p.StartDate)] = forecastOf(e.TenantID, p)
		}
	}
	if len(forecasts) == 0 {
		return nil
	}
	return planning.KeepForecasts(ctx, tx, slices.Collect(maps.Values(forecasts)))
}

func forecastOf(tenant string, p event.ForecastGenerated) planning.Forecast {
	f := planning.Forecast{
		Tenant: tenant, Item: p.ItemID, Location: p.LocationID, Method: p.Method, Start: p.StartDate, ErrorStdDev: p.ErrorStdDev,
		Daily: make([]float64, len(p.DailyDemand)),
	}
	for i, units := range p.DailyDemand {
		f.Daily[i] = units.InexactFloat64()
	}
	return f
}
