package planner

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/exit"
	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/store"
	"github.com/composerp/composerp/workers/analytics"
)

// AccuracySorts are the orders of the items of `forecast accuracy`.
var AccuracySorts = []string{"units", "rmsse", "mase", "bias", "item"}

// accuracyReport is `forecast accuracy -o json`. What is no number is null.
type accuracyReport struct {
	From     event.Date      `json:"from,omitempty"`
	To       event.Date      `json:"to,omitempty"`
	Horizon  int             `json:"horizonDays"`
	Items    int             `json:"items"`
	Unscaled int             `json:"itemsWithoutScale"`
	Days     int             `json:"forecastDays"`
	Units    *float64        `json:"units"`
	Overall  []overallErrors `json:"overall"`
	ByItem   []itemErrors    `json:"byItem"`
}

type overallErrors struct {
	Forecast      string   `json:"forecast"`
	Bias          *float64 `json:"bias"`
	BiasPercent   *float64 `json:"biasPercent"`
	MASE          *float64 `json:"mase"`
	RMSSE         *float64 `json:"rmsse"`
	WeightedMASE  *float64 `json:"weightedMase"`
	WeightedRMSSE *float64 `json:"weightedRmsse"`
}

type itemErrors struct {
	Tenant        string   `json:"tenantId"`
	Item          string   `json:"itemId"`
	ItemName      string   `json:"itemName,omitempty"`
	Location      string   `json:"locationId"`
	Method        string   `json:"method"`
	Days          int      `json:"forecastDays"`
	Units         *float64 `json:"units"`
	Bias          *float64 `json:"bias"`
	BiasPercent   *float64 `json:"biasPercent"`
	MASE          *float64 `json:"mase"`
	RMSSE         *float64 `json:"rmsse"`
	NaiveRMSSE    *float64 `json:"naiveRmsse"`
	SeasonalRMSSE *float64 `json:"seasonalNaiveRmsse"`
}

func forecastAccuracy(cctx *cli.Context, db *store.DB, q analytics.Question) error {
	answer, err := analytics.Accuracy(cctx.Context, db, q)
	if err != nil {
		return err
	}
	sortAccuracy(answer.Items, cctx.String("sort"))
	if limit := cctx.Int("limit"); limit > 0 && len(answer.Items) > limit {
		terminal.Say(cctx, "these are %d of %d items; --limit 0 shows all", limit, len(answer.Items))
		answer.Items = answer.Items[:limit]
	}
	report := reportOf(q.Horizon, answer)
	return terminal.Show(cctx, report, func(w io.Writer) { report.table(w, &answer) })
}

func accuracyQuestion(cctx *cli.Context) (q analytics.Question, err error) {
	q = analytics.Question{Of: positionFlags(cctx), Horizon: cctx.Int("horizon")}
	if q.From, err = dateFlag(cctx, "from"); err != nil {
		return q, err
	}
	if q.To, err = dateFlag(cctx, "to"); err != nil {
		return q, err
	}
	switch {
	case q.Horizon < 1:
		return q, exit.Usage("--horizon %d: want at least 1 day", q.Horizon)
	case q.From != "" && q.To != "" && q.To < q.From:
		return q, exit.Usage("--from %s is after --to %s", q.From, q.To)
	case cctx.Int("limit") < 0:
		return q, exit.Usage("--limit %d: want 0 or more", cctx.Int("limit"))
	case !slices.Contains(AccuracySorts, cctx.String("sort")):
		return q, exit.Usage("--sort %q: want %s", cctx.String("sort"), strings.Join(AccuracySorts, ", "))
	}
	return q, nil
}

// sortAccuracy sorts by a measure, the largest first, and by item where they are alike.
func sortAccuracy(items []analytics.ItemAccuracy, by string) {
	key := map[string]func(*analytics.ItemAccuracy) float64{
		"units": func(i *analytics.ItemAccuracy) float64 { return i.Units },
		"rmsse": func(i *analytics.ItemAccuracy) float64 { return scaled(i, i.Forecast.RMSSE) },
		"mase":  func(i *analytics.ItemAccuracy) float64 { return scaled(i, i.Forecast.MASE) },
		"bias":  func(i *analytics.ItemAccuracy) float64 { return math.Abs(i.Forecast.Bias) },
		"item":  func(*analytics.ItemAccuracy) float64 { return 0 },
	}[by]
	slices.SortStableFunc(items, func(a, b analytics.ItemAccuracy) int {
		return cmp.Or(cmp.Compare(key(&b), key(&a)), strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Item, b.Item), strings.Compare(a.Location, b.Location))
	})
}

// scaled is a measure that takes a scale, where there is one.
func scaled(i *analytics.ItemAccuracy, x float64) float64 {
	if !i.Scaled {
		return math.NaN()
	}
	return x
}

func reportOf(horizon int, a analytics.Answer) accuracyReport {
	o := a.Overall
	r := accuracyReport{
		From: a.From, To: a.To, Horizon: horizon, Items: o.Items + o.Unscaled, Unscaled: o.Unscaled, Days: o.Days, Units: maybe(o.Units),
		Overall: []overallErrors{}, ByItem: []itemErrors{},
	}
	for _, way := range a.Ways() {
		t := way.Together
		r.Overall = append(r.Overall, overallErrors{
			way.Name, maybe(t.Bias), maybe(100 * t.BiasPart), maybe(t.MASE), maybe(t.RMSSE), maybe(t.WeightedMASE), maybe(t.WeightedRMSSE),
		})
	}
	for i := range a.Items {
		x := &a.Items[i]
		r.ByItem = append(r.ByItem, itemErrors{
			Tenant: x.Tenant, Item: x.Item, ItemName: x.Name, Location: x.Location, Method: x.Method, Days: x.Days, Units: maybe(x.Units),
			Bias: maybe(x.Forecast.Bias), BiasPercent: maybe(100 * x.Forecast.BiasPart),
			MASE: maybe(scaled(x, x.Forecast.MASE)), RMSSE: maybe(scaled(x, x.Forecast.RMSSE)),
			NaiveRMSSE: maybe(scaled(x, x.Naive.RMSSE)), SeasonalRMSSE: maybe(scaled(x, x.Seasonal.RMSSE)),
		})
	}
	return r
}

// maybe rounds a number for JSON, which has none for what is no number.
func maybe(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	x = math.Round(x*1e4) / 1e4
	return &x
}

func (r accuracyReport) table(w io.Writer, a *analytics.Answer) {
	if r.Items == 0 {
		fmt.Fprintln(w, "no forecast has a closed day yet")
		return
	}
	fmt.Fprintf(w, "%s, %s to %s, the first %s of each forecast\n", wording.Count(int64(r.Items), "item"), r.From, r.To, wording.Count(int64(r.Horizon), "day"))
	if r.Unscaled > 0 {
		fmt.Fprintf(w, "%d of them never changed, and have neither MASE nor RMSSE\n", r.Unscaled)
	}
	fmt.Fprintln(w)
	terminal.Row(w, "", "BIAS A DAY", "BIAS %", "MASE", "RMSSE", "MASE BY UNITS", "RMSSE BY UNITS")
	for _, way := range a.Ways() {
		t := way.Together
		terminal.Row(w, way.Name, Digits(t.Bias, 3), Digits(100*t.BiasPart, 1), Digits(t.MASE, 3), Digits(t.RMSSE, 3), Digits(t.WeightedMASE, 3), Digits(t.WeightedRMSSE, 3))
	}
	fmt.Fprintln(w)
	terminal.Row(w, "TENANT", "ITEM", "LOCATION", "DAYS", "UNITS", "BIAS %", "MASE", "RMSSE", "NAIVE", "SEASONAL", "METHOD", "NAME")
	for i := range a.Items {
		x := &a.Items[i]
		measured := func(v float64) string { return Digits(scaled(x, v), 3) }
		terminal.Row(w, x.Tenant, x.Item, x.Location, x.Days, Digits(x.Units, 0), Digits(100*x.Forecast.BiasPart, 1),
			measured(x.Forecast.MASE), measured(x.Forecast.RMSSE), measured(x.Naive.RMSSE), measured(x.Seasonal.RMSSE), x.Method, x.Name)
	}
}
