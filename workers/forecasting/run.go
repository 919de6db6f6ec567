package forecasting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/workers/forecasting/method"
	"github.com/composerp/composerp/workers/worker"
)

const (
	// piece is how many items a transaction forecasts.
	piece = 200
	// horizon is how many days are forecast.
	horizon = 30
	// modelType is what kind of forecast these are.
	modelType = "BASELINE"
	// profileDays is how many days a location's weekday profile is taken from.
	profileDays = 91
	// digits is how many fractional digits a day's demand has.
	digits = 3
)

// by is the method that items are forecast by; "": each by the one that fits it best.
type by string

// forecast does the next piece of the run that is due first.
func (b by) forecast(ctx context.Context, tx *worker.Tx) (more bool, err error) {
	run, err := planning.TakeForecastRun(ctx, tx)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if run.Week == nil {
		if err := survey(ctx, tx, &run); err != nil {
			return false, err
		}
	}
	// Every item of the run before is looked at once more: one that is not sold any
	// more gets one last forecast.
	first := windowOf(run.Previous)
	histories, err := planning.DemandHistories(ctx, tx, run, first, run.AsOf, piece)
	if err != nil {
		return false, err
	}
	chooser := method.NewChooser(method.Profile(run.Week)).Only(string(b))
	made := 0
	for _, h := range histories {
		run.NextItem = h.Item
		if len(h.Days) == 0 {
			continue
		}
		if err := emit(tx, run, h.Item, chooser.Choose(historyOf(run, h, first), horizon)); err != nil {
			return false, fmt.Errorf("forecasting %s at %s: %w", h.Item, run.Location, err)
		}
		made++
	}
	return true, planning.MoveForecastRun(ctx, tx, run, made, len(histories) < piece)
}

// windowOf is the first day that a run looks at.
func windowOf(asOf event.Date) event.Date { return asOf.AddDays(1 - method.Longest) }

// survey finds out what all pieces of the run need: how the location's week looks,
// and since when it trades.
func survey(ctx context.Context, tx *worker.Tx, run *planning.ForecastRun) error {
	first := windowOf(run.AsOf)
	trade, err := planning.TradeByDay(ctx, tx, run.LocationKey, first, run.AsOf)
	if err != nil {
		return err
	}
	opened := 0
	for opened < len(trade)-1 && trade[opened] == 0 {
		opened++
	}
	run.FirstDay = first.AddDays(opened)
	recent := max(opened, len(trade)-profileDays)
	week := method.ProfileOf(trade[recent:], first.AddDays(recent).Time().Weekday())
	run.Week = week[:]
	return nil
}

// historyOf lays an item's days out without gaps: from its first day, and some days
// before it if the location traded then, as far back as is looked.
func historyOf(run planning.ForecastRun, h planning.DemandHistory, first event.Date) method.History {
	from := max(windowOf(run.AsOf), run.FirstDay, h.First.AddDays(-method.LeadIn))
	demand := make([]float64, daysBetween(from, run.AsOf)+1)
	skip := daysBetween(first, from)
	for i, day := range h.Days {
		if at := int(day) - skip; at >= 0 {
			demand[at] = h.Units[i]
		}
	}
	return method.History{Demand: demand, First: from.Time().Weekday()}
}

func daysBetween(from, to event.Date) int { return int(to.Time().Sub(from.Time()) / (24 * time.Hour)) }

// forecastSpace is the UUID namespace of forecasts (RFC 9562, 5.5).
var forecastSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://composerp.dev/forecast"))

// emit emits the forecast of an item. All forecasts of an item at a location are one
// aggregate, so that they stay in order.
func emit(tx *worker.Tx, run planning.ForecastRun, item string, f method.Forecast) error {
	daily := make([]event.Decimal, len(f.Daily))
	for i, units := range f.Daily {
		daily[i] = rounded(units)
	}
	cause := event.Envelope{
		ID: run.ClosedBy, TenantID: run.Tenant, Timestamp: run.ClosedAt,
		Metadata: event.Metadata{CorrelationID: run.CorrelationID, Traceparent: run.Traceparent, Replay: run.Replay},
	}
	place := item + "\x00" + run.Location
	return tx.For(cause).EmitDue(place, run.AsOf, uuid.NewSHA1(forecastSpace, []byte(run.Tenant+"\x00"+place)).String(), event.ForecastGenerated{
		ItemID: item, LocationID: run.Location, ModelType: modelType, Method: f.Method,
		ForecastCount: int64(len(daily)), StartDate: run.AsOf.AddDays(1), EndDate: run.AsOf.AddDays(len(daily)),
		DailyDemand: daily, ErrorStdDev: rounded(f.ErrorStdDev),
	})
}

// mostUnits is more than any shop sells, and little enough for an event to carry: sums of demand may be more.
const mostUnits = 1e12

func rounded(x float64) event.Decimal {
	return event.Decimal{Decimal: decimal.NewFromFloat(min(x, mostUnits)).Round(digits)}
}
