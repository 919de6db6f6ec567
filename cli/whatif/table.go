package whatif

import (
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/composerp/composerp/cli/terminal"
	"github.com/composerp/composerp/exchange/event"
	"github.com/composerp/composerp/exchange/wording"
	"github.com/composerp/composerp/workers/runtime/whatif"
)

func showContent(cctx *cli.Context, content whatif.Content) error {
	return terminal.Show(cctx, content, func(w io.Writer) {
		terminal.Row(w, "EVENTS", "")
		for _, t := range slices.Sorted(maps.Keys(content.Events)) {
			terminal.Row(w, string(t), content.Events[t])
		}
		terminal.Row(w, "POSITIONS", content.Positions)
	})
}

func show(cctx *cli.Context, r whatif.Report) error {
	return terminal.Show(cctx, r, func(w io.Writer) {
		terminal.Row(w, terminal.Moment(r.From)+" to "+terminal.Moment(r.To))
		terminal.Row(w, "events", r.Events)
		terminal.Row(w, "positions", r.Positions)
		if r.Unmeasured > 0 {
			terminal.Row(w, "not measured (only sales and returns are known)", r.Unmeasured)
		}
		terminal.Row(w, "rules that differ", r.RulesChanged)
		terminal.Row(w)
		terminal.Row(w, "", "HAPPENED", "REPLAYED", "WHAT IF", "CHANGE")
		for _, l := range linesOf(r.Happened, r.Replayed, r.WhatIf) {
			terminal.Row(w, l.name, l.cells[0], l.cells[1], l.cells[2], l.change)
		}
		if len(r.Items) == 0 {
			return
		}
		terminal.Row(w)
		terminal.Row(w, "TENANT", "ITEM", "LOCATION", "ORDERS", "DAYS OUT", "SHORT", "AVERAGE STOCK", "CAPITAL")
		for _, i := range r.Items {
			terminal.Row(w, i.Tenant, i.Item, i.Location,
				both(i, func(f *whatif.Figures) any { return f.Orders }),
				both(i, func(f *whatif.Figures) any { return days(f.DaysWithoutStock) }),
				both(i, func(f *whatif.Figures) any { return f.ShortUnits }),
				both(i, func(f *whatif.Figures) any { return days(f.AverageUnits) }),
				both(i, func(f *whatif.Figures) any { return amounts(f.AverageCapital) }))
		}
		terminal.Row(w, "(each: replayed → what if)")
	})
}

// both shows a figure of a position, replayed and changed.
func both(i whatif.Item, of func(*whatif.Figures) any) string {
	return cell(of(&i.Replayed)) + " → " + cell(of(&i.WhatIf))
}

// line is one figure in the columns, and what the change changes of the replayed one.
type line struct {
	name   string
	cells  [3]string
	change string
}

// lineOf makes the line of a number.
func lineOf(name string, columns [3]*whatif.Figures, number func(*whatif.Figures) event.Decimal, digits int32) line {
	l := line{name: name}
	for i, f := range columns {
		l.cells[i] = grouped(number(f), digits)
	}
	l.change = signed(number(columns[2]).Sub(number(columns[1])), digits)
	return l
}

func signed(d event.Decimal, digits int32) string {
	text := grouped(d, digits)
	if d.IsPositive() {
		return "+" + text
	}
	return text
}

func linesOf(happened, replayed, changed whatif.Figures) (lines []line) {
	columns := [3]*whatif.Figures{&happened, &replayed, &changed}
	number := func(name string, of func(*whatif.Figures) event.Decimal, digits int32) {
		lines = append(lines, lineOf(name, columns, of, digits))
	}
	count := func(name string, of func(*whatif.Figures) int) {
		number(name, func(f *whatif.Figures) event.Decimal { return event.NewDecimal(int64(of(f))) }, 0)
	}
	money := func(name string, of func(*whatif.Figures) []whatif.Money) {
		for _, currency := range currencies(columns, of) {
			number(strings.TrimRight(name+" "+currency, " "), func(f *whatif.Figures) event.Decimal { return in(currency, of(f)) }, 2)
		}
	}
	count("orders", func(f *whatif.Figures) int { return f.Orders })
	number("  units ordered", func(f *whatif.Figures) event.Decimal { return f.OrderedUnits }, 0)
	money("  order value", func(f *whatif.Figures) []whatif.Money { return f.OrderValue })
	count("  without a price", func(f *whatif.Figures) int { return f.UnpricedOrders })
	count("  left to a person", func(f *whatif.Figures) int { return f.ForAPerson })
	count("stock-outs", func(f *whatif.Figures) int { return f.StockOuts })
	number("  days without stock", func(f *whatif.Figures) event.Decimal { return f.DaysWithoutStock }, 1)
	number("units sold", func(f *whatif.Figures) event.Decimal { return f.SoldUnits }, 0)
	number("  beyond stock", func(f *whatif.Figures) event.Decimal { return f.ShortUnits }, 0)
	number("fill rate %", func(f *whatif.Figures) event.Decimal {
		if f.FillRate == nil {
			return event.Decimal{}
		}
		return f.FillRate.Mul(event.NewDecimal(100))
	}, 2)
	number("average stock, units", func(f *whatif.Figures) event.Decimal { return f.AverageUnits }, 0)
	number("highest stock, units", func(f *whatif.Figures) event.Decimal { return f.HighestUnits }, 0)
	money("average capital", func(f *whatif.Figures) []whatif.Money { return f.AverageCapital })
	money("highest capital", func(f *whatif.Figures) []whatif.Money { return f.HighestCapital })
	count("low-stock warnings", func(f *whatif.Figures) int { return f.LowStock })
	return lines
}

// currencies are those of a column's amounts, sorted.
func currencies(columns [3]*whatif.Figures, of func(*whatif.Figures) []whatif.Money) []string {
	seen := map[string]bool{}
	for _, f := range columns {
		for _, m := range of(f) {
			seen[m.Currency] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func in(currency string, amounts []whatif.Money) event.Decimal {
	for _, m := range amounts {
		if m.Currency == currency {
			return m.Amount
		}
	}
	return event.Decimal{}
}

func cell(of any) string {
	switch of := of.(type) {
	case string:
		return of
	case event.Decimal:
		return wording.Grouped(of.String())
	}
	return terminal.NumberOr(&of)
}

func days(d event.Decimal) string { return grouped(d, 1) }

// grouped is a number rounded to some digits after the point, as people read it.
func grouped(d event.Decimal, digits int32) string { return wording.Grouped(d.StringFixed(digits)) }

func amounts(list []whatif.Money) string {
	texts := make([]string, len(list))
	for i, m := range list {
		texts[i] = strings.TrimSpace(grouped(m.Amount, 2) + " " + m.Currency)
	}
	return strings.Join(texts, ", ")
}
