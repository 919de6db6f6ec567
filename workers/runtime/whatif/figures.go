package whatif

import (
	"maps"
	"slices"

	"github.com/shopspring/decimal"

	"github.com/composerp/composerp/exchange/event"
)

// Money is an amount in a currency; "" is that of a tenant which names none.
type Money struct {
	Currency string        `json:"currency,omitempty"`
	Amount   event.Decimal `json:"amount"`
}

// Figures are one column: what was measured of all positions, or of one.
type Figures struct {
	Orders       int           `json:"orders"`
	OrderedUnits event.Decimal `json:"orderedUnits"`
	OrderValue   []Money       `json:"orderValue"`
	// UnpricedOrders are among Orders and not in OrderValue.
	UnpricedOrders int `json:"unpricedOrders"`
	// StockOuts is how often a position came to have no stock.
	StockOuts int `json:"stockOuts"`
	// DaysWithoutStock are summed over the positions.
	DaysWithoutStock event.Decimal `json:"daysWithoutStock"`
	SoldUnits        event.Decimal `json:"soldUnits"`
	// ShortUnits are those of SoldUnits that were not on hand.
	ShortUnits event.Decimal `json:"shortUnits"`
	// FillRate is the share of SoldUnits that was on hand; nil: nothing was sold.
	FillRate       *event.Decimal `json:"fillRate"`
	AverageUnits   event.Decimal  `json:"averageUnits"`
	HighestUnits   event.Decimal  `json:"highestUnits"`
	AverageCapital []Money        `json:"averageCapital"`
	HighestCapital []Money        `json:"highestCapital"`
	// LowStock is how often stock fell below its threshold.
	LowStock int `json:"lowStock"`
	// ForAPerson are the orders that approval's policy left to a person; a run takes them for approved.
	ForAPerson int `json:"forAPerson"`
}

// sums are figures before they are divided and sorted.
type sums struct {
	orders, unpriced, stockOuts, low, waiting int
	ordered, sold, short                      decimal.Decimal
	value                                     map[string]decimal.Decimal
	out                                       int64                      // microseconds without stock
	units                                     decimal.Decimal            // units × microseconds
	highest                                   decimal.Decimal            // units
	capital, peak                             map[string]decimal.Decimal // capital × microseconds, and at its highest
}

const (
	microseconds = 1_000_000
	dayLength    = 24 * 3600 * microseconds
	unitDigits   = 3
	moneyDigits  = 2
	shareDigits  = 4
)

// figures divides by the length of the span, in microseconds.
func (s *sums) figures(length int64) Figures {
	span := decimal.NewFromInt(max(length, 1))
	f := Figures{
		Orders: s.orders, OrderedUnits: event.Decimal{Decimal: s.ordered}, OrderValue: moneyOf(s.value, decimal.NewFromInt(1)),
		UnpricedOrders: s.unpriced, StockOuts: s.stockOuts, LowStock: s.low, ForAPerson: s.waiting,
		DaysWithoutStock: rounded(decimal.NewFromInt(s.out), decimal.NewFromInt(dayLength), unitDigits),
		SoldUnits:        event.Decimal{Decimal: s.sold}, ShortUnits: event.Decimal{Decimal: s.short},
		AverageUnits: rounded(s.units, span, unitDigits), HighestUnits: event.Decimal{Decimal: s.highest},
		AverageCapital: moneyOf(s.capital, span), HighestCapital: moneyOf(s.peak, decimal.NewFromInt(1)),
	}
	if s.sold.IsPositive() {
		share := rounded(s.sold.Sub(s.short), s.sold, shareDigits)
		f.FillRate = &share
	}
	return f
}

func rounded(sum, by decimal.Decimal, digits int32) event.Decimal {
	return event.Decimal{Decimal: sum.DivRound(by, digits)}
}

func add(to map[string]decimal.Decimal, currency string, amount decimal.Decimal) {
	to[currency] = to[currency].Add(amount)
}

// moneyOf divides amounts, and sorts them by currency.
func moneyOf(amounts map[string]decimal.Decimal, by decimal.Decimal) []Money {
	list := make([]Money, 0, len(amounts))
	for _, currency := range slices.Sorted(maps.Keys(amounts)) {
		list = append(list, Money{currency, rounded(amounts[currency], by, moneyDigits)})
	}
	return list
}
