package why

import (
	"strings"
	"testing"

	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/store/planning"
	"github.com/composerp/composerp/store/purchasing"
	"github.com/composerp/composerp/workers/replenishment"
)

func dec(text string) event.Decimal {
	d, err := event.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}

// The arithmetic of a rule that follows the forecast adds up to the order; and where pack or forecast were others
// then, it says so and invents nothing.
func TestTheArithmeticOfAnAutoRule(t *testing.T) {
	t.Parallel()
	expected := planning.ExpectedDemand{Daily: []float64{2, 3, 2.5, 4, 1, 2}, ErrorStdDev: 1.5}
	levels := replenishment.Levels(expected, 4, 14, 0.95)
	p := plan{
		ReplenishmentPlan: planning.ReplenishmentPlan{
			Auto: true, Supplier: "s", LeadTimeDays: 4, CoverDays: 14, ServiceLevel: 0.95, Pack: dec("6"), Planned: &levels, Expected: &expected,
		},
		forecast: &forecast{EventID: "f", StartDate: "2026-02-09", ErrorStdDev: dec("1.5")},
		terms:    replenishment.TermsOf(expected, 4, 14, 0.95),
	}
	l := purchasing.PurchaseOrderLine{Available: dec("3"), OnOrder: dec("5"), InTransit: dec("1"), ReorderPoint: levels.ReorderPoint}
	l.Quantity = replenishment.Quantity(p.ReplenishmentPlan, dec("9"), levels.ReorderPoint)
	explain := func() (*reason, string) {
		r := &reason{}
		onHand := dec("4")
		r.addPosition(&l, &onHand)
		r.explain(&l, p)
		var lines []string
		for _, s := range r.Steps {
			lines = append(lines, strings.TrimSpace(s.What)+" "+s.Value.String())
		}
		return r, strings.Join(lines, "; ")
	}
	r, got := explain()
	want := "on hand 4; - reserved 1; = available 3; + on order 5; + in transit 1; = inventory position 9; reorder point 16.435; " +
		"demand of the lead time 11.5; + safety stock 4.935; = reorder point 16.435; + demand of the cover 32; = order up to 48.435; " +
		"order up to 48.435; minimum order 0; whole packs of 6; = ordered 42"
	if got != want || r.Unexplained != "" || r.Forecast == nil {
		t.Errorf("the arithmetic is\n%s, want\n%s; %q", got, want, r.Unexplained)
	}
	p.Pack = dec("5")
	if r, _ := explain(); !strings.Contains(r.Unexplained, "it would be 40") {
		t.Errorf("with another pack: %q", r.Unexplained)
	}
	p.Pack = dec("6")
	l.ReorderPoint = dec("16")
	if r, _ := explain(); !strings.Contains(r.Unexplained, "the reorder point would be 16.435") {
		t.Errorf("with another reorder point: %q", r.Unexplained)
	}
}
