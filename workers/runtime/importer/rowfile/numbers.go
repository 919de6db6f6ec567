package rowfile

import (
	"fmt"
	"slices"
	"strings"
)

// Numbers is how a file writes numbers. The zero value is 1234.5 and -1234.5; U+2212, the minus sign of typographers
// and of some ERPs, is a minus everywhere.
type Numbers struct {
	Decimal   string   // the decimal mark, "." or ","; empty: "."
	Thousands string   // between groups of three digits: "," "." "'" or " " for blanks of all kinds; empty: nothing
	Negatives []string // how a number below zero may be written besides -6: "6-", "(6)"
	Currency  []string // what may stand before or behind the digits: "£", "EUR"
}

// The ways to write a number below zero.
const (
	TrailingMinus = "6-"
	Parentheses   = "(6)"
)

// Check says what is wrong with options; empty when nothing is.
func (n Numbers) Check() string {
	switch {
	case !slices.Contains([]string{"", ".", ","}, n.Decimal):
		return fmt.Sprintf("decimal: want \".\" or \",\", got %q", n.Decimal)
	case !slices.Contains([]string{"", ",", ".", " ", "'"}, n.Thousands):
		return fmt.Sprintf("thousands: want one of \",\" \".\" \" \" \"'\", got %q", n.Thousands)
	case n.Thousands != "" && n.Thousands == n.mark():
		return fmt.Sprintf("thousands: %q is the decimal mark already", n.Thousands)
	}
	for _, way := range n.Negatives {
		if way != TrailingMinus && way != Parentheses {
			return fmt.Sprintf("negatives: want %q or %q, got %q", TrailingMinus, Parentheses, way)
		}
	}
	for _, sign := range n.Currency {
		if Trim(sign) == "" || strings.ContainsAny(sign, "0123456789.,-+()") {
			return fmt.Sprintf("currency: want a sign or a code such as £ or EUR, got %q", sign)
		}
	}
	return ""
}

func (n Numbers) mark() string {
	if n.Decimal == "" {
		return "."
	}
	return n.Decimal
}

// Plain writes a number as JSON has it: a minus before it or nothing, no zeros and no plus before it, something before
// and behind its decimal point; false for what is no number by the options. See withoutNoise for the only digits that
// are changed.
func (n Numbers) Plain(text string) (string, bool) {
	digits, negative := n.unsigned(Trim(text))
	digits, ok := n.ungrouped(digits)
	if !ok || !decimalNumber(digits) {
		return "", false
	}
	for len(digits) > 1 && digits[0] == '0' && '0' <= digits[1] && digits[1] <= '9' {
		digits = digits[1:]
	}
	if digits[0] == '.' {
		digits = "0" + digits
	}
	digits = withoutNoise(strings.TrimSuffix(digits, "."))
	if negative {
		return "-" + digits, true
	}
	return digits, true
}

// unsigned takes currency and sign away. Each may stand before or behind the other, but a sign only once.
func (n Numbers) unsigned(text string) (digits string, negative bool) {
	text = strings.ReplaceAll(text, "\u2212", "-")
	text = n.withoutCurrency(text)
	inner, opened := strings.CutPrefix(text, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if opened && closed && slices.Contains(n.Negatives, Parentheses) {
		return n.withoutCurrency(Trim(inner)), true
	}
	if before, ok := strings.CutSuffix(text, "-"); ok && slices.Contains(n.Negatives, TrailingMinus) {
		return n.withoutCurrency(Trim(before)), true
	}
	if behind, ok := strings.CutPrefix(text, "-"); ok {
		return n.withoutCurrency(Trim(behind)), true
	}
	return n.withoutCurrency(Trim(strings.TrimPrefix(text, "+"))), false
}

// withoutCurrency takes one sign away. The longest one that fits is meant: US$ before $.
func (n Numbers) withoutCurrency(text string) string {
	cut := text
	for _, sign := range n.Currency {
		for _, rest := range []string{strings.TrimPrefix(text, sign), strings.TrimSuffix(text, sign)} {
			if len(rest) < len(cut) {
				cut = rest
			}
		}
	}
	return Trim(cut)
}

// ungrouped takes the marks between groups of three digits away and makes the decimal mark a point.
func (n Numbers) ungrouped(text string) (string, bool) {
	whole, fraction, has := strings.Cut(text, n.mark())
	if n.Thousands != "" {
		groups := strings.FieldsFunc(whole, n.isThousands)
		marks := 0
		for _, r := range whole {
			if n.isThousands(r) {
				marks++
			}
		}
		for i, group := range groups {
			if marks > 0 && (len(group) > 3 || i > 0 && len(group) != 3) || marks != max(0, len(groups)-1) {
				return "", false
			}
		}
		whole = strings.Join(groups, "")
	}
	if strings.Contains(whole+fraction, ".") {
		return "", false // the other mark
	}
	if has {
		whole += "."
	}
	return whole + fraction, true
}

func (n Numbers) isThousands(r rune) bool {
	switch n.Thousands {
	case " ":
		return r == ' ' || r == '\u00A0' || r == '\u202F' || r == '\u2009'
	case "'":
		return r == '\'' || r == '\u2019'
	}
	return string(r) == n.Thousands
}

// decimalNumber says whether a text is digits, at most one point among them, and an exponent or none.
func decimalNumber(text string) bool {
	digits, exponent, has := strings.Cut(strings.ToLower(text), "e")
	if has {
		exponent = strings.TrimPrefix(strings.TrimPrefix(exponent, "-"), "+")
	}
	if has && (exponent == "" || strings.Trim(exponent, "0123456789") != "") {
		return false
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	return whole+fraction != "" && strings.Trim(whole+fraction, "0123456789") == ""
}

// The digits of a double that can be relied on, and those of an event behind the point.
const (
	reliableDigits   = 15
	fractionalDigits = 6
)

// withoutNoise takes back what a program that computes with doubles has added to a number: 4.8999999999999995 for 4.9,
// 0.30000000000000004 for 0.3. The rule: a number of more than 15 digits, from its first that is not 0, is rounded to
// 15, halves away from zero; where the result has at most 6 digits behind the point, it is meant, and where it has
// more, the number stays as it was. It works on the decimal digits, so no rounding of its own is added.
func withoutNoise(text string) string {
	whole, fraction, _ := strings.Cut(text, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	excess := len(digits) - reliableDigits
	if excess <= 0 || len(fraction) <= fractionalDigits || excess > len(fraction) || strings.ContainsAny(fraction, "eE") {
		return text
	}
	all := []byte("0" + whole + fraction)
	kept := all[:len(all)-excess]
	if all[len(kept)] >= '5' {
		for i := len(kept) - 1; ; i-- {
			if kept[i]++; kept[i] <= '9' {
				break
			}
			kept[i] = '0'
		}
	}
	point := 1 + len(whole)
	rounded := strings.TrimRight(string(kept[point:]), "0")
	if len(rounded) > fractionalDigits {
		return text
	}
	result := strings.TrimLeft(string(kept[:point]), "0")
	if result == "" {
		result = "0"
	}
	if rounded != "" {
		result += "." + rounded
	}
	return result
}

// Option is an option by which a text would be a number.
type Option struct{ Key, Value string }

// Hints gives the options that would make a number of a text, each time the fewest that do; none where the text is one
// already, or where none would help.
func (n Numbers) Hints(text string) [][]Option {
	if _, ok := n.Plain(text); ok {
		return nil
	}
	var hints [][]Option
	try := func(with Numbers, options []Option) {
		if _, ok := with.Plain(text); !ok || with.Check() != "" {
			return
		}
		if len(hints) > 0 && len(options) < len(hints[0]) {
			hints = nil
		}
		if len(hints) == 0 || len(options) == len(hints[0]) {
			hints = append(hints, slices.Clone(options))
		}
	}
	for _, start := range n.withSigns(text) {
		for _, mark := range []string{".", ","} {
			for _, thousands := range []string{"", ",", ".", " ", "'"} {
				with, options := start.numbers, slices.Clone(start.options)
				if mark != n.mark() {
					with.Decimal, options = mark, append(options, Option{"decimal", mark})
				}
				if thousands != n.Thousands && thousands != "" {
					with.Thousands, options = thousands, append(options, Option{"thousands", thousands})
				}
				try(with, options)
			}
		}
	}
	return slices.CompactFunc(hints, slices.Equal[[]Option])
}

type numbersWith struct {
	numbers Numbers
	options []Option
}

// withSigns are the options as they are, and with the ways of a sign, a currency or both that the text may have.
func (n Numbers) withSigns(text string) []numbersWith {
	found := []numbersWith{{n, nil}}
	if sign := Trim(strings.Trim(text, "0123456789.,'-+() \u00A0\u202F\u2212\u2019")); sign != "" && len(sign) <= 8 {
		with := n
		with.Currency = append(slices.Clone(n.Currency), sign)
		found = append(found, numbersWith{with, []Option{{"currency", sign}}})
	}
	for _, before := range slices.Clone(found) {
		for _, way := range []string{TrailingMinus, Parentheses} {
			with := before.numbers
			with.Negatives = append(slices.Clone(n.Negatives), way)
			found = append(found, numbersWith{with, append(slices.Clone(before.options), Option{"negatives", way})})
		}
	}
	return found
}
