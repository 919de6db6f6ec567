package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/events"
	"github.com/composerp/composerp/cli/fleet"
	"github.com/composerp/composerp/cli/planner"
	"github.com/composerp/composerp/cli/settings"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/deploy/demo"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/store/eventlog"
	"github.com/composerp/composerp/store/lots"
	"github.com/composerp/composerp/store/masterdata"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/stockview"
	"github.com/composerp/composerp/workers/analytics"
	"github.com/composerp/composerp/workers/runtime/audit"
)

// Summary is the result of a demo. World counts the events of this run; everything else is read from the database.
type Summary struct {
	Tenant string     `json:"tenantId"`
	From   event.Date `json:"from"`
	To     event.Date `json:"to"`
	Days   int        `json:"days"`
	// MeasuredFrom is the first day that Service covers; the last one is To.
	MeasuredFrom event.Date            `json:"measuredFrom"`
	World        demo.Tally            `json:"world"`
	Fresh        int64                 `json:"eventsNewToTheLog"`
	Service      planning.ServiceLevel `json:"service"`
	// FillRate is the share of the demand that was met from stock.
	FillRate float64                 `json:"fillRate"`
	Now      stockview.TenantSummary `json:"now"`
	Calls    demo.Calls              `json:"supplierCalls"`
	Repeated int                     `json:"deliveryNotesTwice"`
	// Lots that are about to expire, and what is in them.
	Expiring demoLots `json:"expiring"`
	// Forecast is nil where no forecast has met a closed day yet.
	Forecast *demoForecast `json:"forecast"`
	Events   int64         `json:"events"`
	Seconds  float64       `json:"seconds"`
	Audit    audit.Report  `json:"audit"`
}

type demoLots struct {
	Lots   int           `json:"lots"`
	Pieces event.Decimal `json:"pieces"`
}

// demoForecast is the error of the forecasts beside that of naive ones, as
// `forecast accuracy` has it: RMSSE, the items' mean and weighted by what they
// sold, and bias in parts of the demand.
type demoForecast struct {
	Items            int     `json:"items"`
	Days             int     `json:"itemDays"`
	RMSSE            float64 `json:"rmsse"`
	Naive            float64 `json:"rmsseNaive"`
	Seasonal         float64 `json:"rmsseSeasonalNaive"`
	Weighted         float64 `json:"weightedRmsse"`
	WeightedNaive    float64 `json:"weightedRmsseNaive"`
	WeightedSeasonal float64 `json:"weightedRmsseSeasonalNaive"`
	Bias             float64 `json:"biasPart"`
}

// conclude measures, audits, shows, and ends the demo or leaves it up.
func conclude(ctx context.Context, cctx *cli.Context, at settings.Endpoints, db *store.DB, simulation *demo.Simulation, o demoOptions, stdout io.Writer) error {
	summary, err := summarise(ctx, db, simulation, o)
	if err != nil {
		return err
	}
	if !o.json {
		if err := showSummary(stdout, summary); err != nil {
			return err
		}
	}
	if summary.Audit, err = events.RunAudit(ctx, cctx, db, at, o.wait, false); err != nil {
		return err
	}
	if o.json {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(summary)
	} else {
		_, err = fmt.Fprint(stdout, "\n"+proof(summary.Audit))
	}
	if err != nil {
		return err
	}
	if err := events.Verdict(summary.Audit); err != nil {
		return err
	}
	if o.exit {
		return fleet.ErrDone
	}
	terminal.Say(cctx, "\nThe fleet is still up%s. Try these in another terminal; Ctrl-C stops it:\n"+
		"  composerp stock --low    composerp stock --lots    composerp po list    composerp forecast accuracy    composerp audit", whereToLook(cctx))
	return nil
}

// whereToLook names the pages of the fleet: the simulation has pushed off the screen what was announced at the start.
func whereToLook(cctx *cli.Context) string {
	pages := []string{}
	if state, err := settings.Find(cctx.String(settings.FlagDir)); err == nil && state != nil {
		for _, page := range [][2]string{{state.PageURL, ""}, {state.Dashboards, " (dashboards)"}} {
			if page[0] != "" {
				pages = append(pages, page[0]+page[1])
			}
		}
	}
	if len(pages) == 0 {
		return ""
	}
	return ", at " + strings.Join(pages, " and ")
}

// proof is the audit's table, without the counts at its end where all is well: they would push the summary off the
// screen.
func proof(r audit.Report) string {
	table := r.Table()
	if parts := strings.SplitN(table, "\n\n", 3); r.Proven() && len(parts) == 3 {
		return parts[0] + "\n\n" + parts[1] + "\n"
	}
	return table
}

// summarise reads the result from the database.
func summarise(ctx context.Context, db *store.DB, simulation *demo.Simulation, o demoOptions) (s Summary, err error) {
	state := simulation.State()
	first, _, _ := simulation.Span()
	s = Summary{
		Tenant: simulation.Scenario.Tenant(), From: first, To: state.Date, Days: state.Day, World: state.Total, Fresh: state.Fresh,
		Calls: state.Calls, Repeated: state.Repeated, Seconds: state.Running.Seconds(), MeasuredFrom: max(first, o.from),
	}
	if state.Date == "" {
		s.To = first.AddDays(-1)
	}
	end, err := eventlog.End(ctx, db)
	if err != nil {
		return s, err
	}
	s.Events = end - state.FirstSeq
	if s.Now, err = stockview.SummarizeTenant(ctx, db, s.Tenant); err != nil || state.Date == "" {
		return s, err
	}
	if s.Service, err = planning.MeasureService(ctx, db, s.Tenant, simulation.Moment(s.MeasuredFrom), simulation.Moment(s.To.AddDays(1))); err != nil {
		return s, err
	}
	if s.Expiring, err = expiringLots(ctx, db, s.Tenant); err != nil {
		return s, err
	}
	if s.Forecast, err = forecastErrors(ctx, db, s); err != nil {
		return s, err
	}
	asked := s.Service.Sold
	if s.MeasuredFrom == first && !simulation.SellsWithoutStock() {
		asked = asked.Add(state.Total.Lost) // demand without a sale
	}
	if !asked.IsZero() {
		s.FillRate = s.Service.Filled.InexactFloat64() / asked.InexactFloat64()
	}
	return s, nil
}

func expiringLots(ctx context.Context, db *store.DB, tenant string) (n demoLots, err error) {
	shelves, err := lots.OnHand(ctx, db, masterdata.PositionKey{Tenant: tenant})
	for _, s := range shelves {
		for _, l := range s.Lots {
			if l.Expiring {
				n.Lots, n.Pieces = n.Lots+1, n.Pieces.Add(l.Quantity)
			}
		}
	}
	return n, err
}

func forecastErrors(ctx context.Context, db *store.DB, s Summary) (*demoForecast, error) {
	answer, err := analytics.Accuracy(ctx, db, analytics.Question{Of: masterdata.PositionKey{Tenant: s.Tenant}, From: s.MeasuredFrom, To: s.To})
	if err != nil || len(answer.Items) == 0 {
		return nil, err
	}
	o := answer.Overall
	return &demoForecast{
		Items: o.Items, Days: o.Days, Bias: o.Forecast.BiasPart,
		RMSSE: o.Forecast.RMSSE, Naive: o.Naive.RMSSE, Seasonal: o.Seasonal.RMSSE,
		Weighted: o.Forecast.WeightedRMSSE, WeightedNaive: o.Naive.WeightedRMSSE, WeightedSeasonal: o.Seasonal.WeightedRMSSE,
	}, nil
}

// showSummary prints the summary for people.
func showSummary(out io.Writer, s Summary) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	pieces := func(d event.Decimal) string { return wording.Thousands(d.IntPart()) }
	terminal.Row(w, wording.Sprintf("\nBUSINESS from %s to %s, %d days", s.From, s.To, s.Days))
	if s.Fresh == 0 {
		terminal.Row(w, "  nothing new: the log had every event already")
	}
	terminal.Row(w, "  sold", pieces(s.World.Sold), "pieces; returned "+pieces(s.World.Returned))
	terminal.Row(w, "  received", pieces(s.World.Received), wording.Sprintf("pieces from suppliers; %d delivery notes were sent twice and are booked once", s.Repeated))
	terminal.Row(w, "  moved", pieces(s.World.Moved), "pieces between locations")
	terminal.Row(w, "  damaged", pieces(s.World.Damaged), wording.Sprintf("pieces; %s expired and thrown away; %s added by adjustments; %d positions counted", pieces(s.World.Expired), pieces(s.World.Found), s.World.Counts))
	terminal.Row(w, "  orders", wording.Thousands(s.Now.Ordered()), wording.Sprintf("in all; %d wait for approval, %d to send, %d on the way, %s received, %d rejected", s.Now.Waiting, s.Now.Unsent, s.Now.Sent, wording.Thousands(s.Now.Received), s.Now.Rejected))
	terminal.Row(w, "  supplier calls", wording.Thousands(s.Calls.All), wording.Sprintf("%s confirmed, %d answered busy and repeated, %d repeated in doubt", wording.Thousands(s.Calls.Confirmed), s.Calls.Busy, s.Calls.Known))
	terminal.Row(w, "  low now", s.Now.Low, wording.Sprintf("of %s positions, %d sold out", wording.Thousands(s.Now.Watched), s.Now.Out))
	terminal.Row(w, "\nSERVICE, measured from "+string(s.MeasuredFrom))
	terminal.Row(w, "  fill rate", fmt.Sprintf("%.2f %%", 100*s.FillRate), "of the demand was met from stock")
	terminal.Row(w, "  stock-outs", wording.Thousands(s.Service.StockOuts), "times a sale took the last piece")
	terminal.Row(w, "  low stock", wording.Thousands(s.Service.LowStock), "warnings")
	terminal.Row(w, "  orders", wording.Thousands(s.Service.Orders), "")
	terminal.Row(w, "  average stock", wording.Thousands(int64(s.Service.Stock)), fmt.Sprintf("pieces, worth %s at cost", wording.Thousands(int64(s.Service.Value))))
	if f := s.Forecast; f != nil {
		terminal.Row(w, "  forecast error", planner.Digits(f.RMSSE, 3), fmt.Sprintf("RMSSE of %d items, naive %s, seasonal naive %s; bias %+.1f %%", f.Items, planner.Digits(f.Naive, 3), planner.Digits(f.Seasonal, 3), 100*f.Bias))
	}
	if s.Expiring.Lots > 0 {
		terminal.Row(w, "  expiring", pieces(s.Expiring.Pieces), wording.Sprintf("pieces in %d lots: composerp stock --lots", s.Expiring.Lots))
	}
	terminal.Row(w, "  events", wording.Thousands(s.Events), fmt.Sprintf("logged in this run, %s a second over %s", wording.Thousands(int64(float64(s.Events)/max(s.Seconds, 0.001))), (time.Duration(s.Seconds*float64(time.Second))).Round(100*time.Millisecond)))
	return w.Flush()
}
