package rowfile

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPlainNumbers(t *testing.T) {
	t.Parallel()
	comma := Numbers{Decimal: ",", Thousands: "."}
	all := Numbers{Thousands: ",", Negatives: []string{TrailingMinus, Parentheses}, Currency: []string{"$", "US$", "£", "EUR"}}
	for _, c := range []struct {
		by       Numbers
		in, want string
	}{
		{Numbers{}, "5", "5"}, {Numbers{}, " +05.50 ", "5.50"}, {Numbers{}, "-.5", "-0.5"}, {Numbers{}, "5.", "5"}, {Numbers{}, "1e3", "1e3"},
		{Numbers{}, "\u22126", "-6"}, {Numbers{}, "\u2212 6\u00a0", "-6"}, {Numbers{}, "00", "0"},
		{Numbers{}, "6-", "!"}, {Numbers{}, "(6)", "!"}, {Numbers{}, "1,5", "!"}, {Numbers{}, "£5", "!"}, {Numbers{}, "", "!"}, {Numbers{}, ".", "!"},
		{Numbers{}, "-", "!"}, {Numbers{}, "--6", "!"}, {Numbers{}, "1.2.3", "!"}, {Numbers{}, "NaN", "!"}, {Numbers{}, "0x1", "!"}, {Numbers{}, "1e", "!"}, {Numbers{}, "1 000", "!"},
		{comma, "1.234,50", "1234.50"}, {comma, "12,5", "12.5"}, {comma, "1.234.567", "1234567"}, {comma, "-0,5", "-0.5"}, {comma, "1234,5", "1234.5"},
		{comma, "1.5", "!"}, {comma, "1.2345", "!"}, {comma, "1234.567", "!"}, {comma, "1,234.5", "!"}, {comma, ".123", "!"}, {comma, "1..234", "!"}, {comma, "1.234.", "!"},
		{Numbers{Decimal: ","}, "1,5", "1.5"}, {Numbers{Decimal: ","}, "1.5", "!"}, {Numbers{Decimal: ","}, "1,5,5", "!"},
		{Numbers{Decimal: ",", Thousands: " "}, "1 234\u202f567\u00a0890,5", "1234567890.5"}, {Numbers{Thousands: "'"}, "1'234’567.5", "1234567.5"},
		{all, "1,000", "1000"}, {all, "1,00", "!"}, {all, "1000,000", "!"}, {all, "0,001", "001"}, {all, "6-", "-6"}, {all, "15.30-", "-15.30"}, {all, "(2)", "-2"}, {all, "( 3.10 )", "-3.10"},
		{all, "£5.00", "5.00"}, {all, "-£5.00", "-5.00"}, {all, "£-5.00", "-5.00"}, {all, "£ 5.00-", "-5.00"}, {all, "5,000.25 EUR", "5000.25"}, {all, "(£5)", "-5"}, {all, "US$5", "5"},
		{all, "-6-", "!"}, {all, "(-6)", "!"}, {all, "(6", "!"}, {all, "£", "!"}, {all, "€5", "!"}, {all, "()", "!"},
	} {
		got, ok := c.by.Plain(c.in)
		if !ok {
			got = "!"
		}
		if c.want == "001" {
			c.want = "1"
		}
		if got != c.want {
			t.Errorf("%q by %+v: got %q, want %q", c.in, c.by, got, c.want)
		}
	}
}

func TestFloatNoise(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"4.8999999999999995":    "4.9",
		"0.30000000000000004":   "0.3",
		"12.489999999999998":    "12.49",
		"-12.489999999999998":   "-12.49",
		"100.10000000000001":    "100.1",
		"2.9999999999999996":    "3",
		"9.9999999999999996":    "10",
		"0.99999999999999996":   "1",
		"0.07500000000000001":   "0.075",
		"1234567.1234560001":    "1234567.123456",
		"0.000001000000000001":  "0.000001000000000001", // 13 digits: no noise of a double
		"0.1234567890123456":    "0.1234567890123456",   // nothing that was meant
		"1.0000005000000001":    "1.0000005000000001",   // 7 digits behind the point remain
		"123456789012345.67":    "123456789012345.67",   // not rounded: it fits, or is refused, as it is
		"1.1234567":             "1.1234567",
		"5.551115123125783e-17": "5.551115123125783e-17",
	} {
		if got, ok := (Numbers{}).Plain(in); !ok || got != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, ok, want)
		}
	}
}

// TestFloatNoiseOfSums holds the rule against what doubles make of exact cents: a sum, printed with all digits, gives
// the cents again.
func TestFloatNoiseOfSums(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var sum float64
		exact := new(big.Rat)
		for range rapid.IntRange(1, 8).Draw(t, "numbers") {
			cents := rapid.Int64Range(0, 10_000_000).Draw(t, "cents")
			sum += float64(cents) / 100
			exact.Add(exact, big.NewRat(cents, 100))
		}
		got, ok := (Numbers{}).Plain(fmt.Sprint(big.NewFloat(sum).Text('g', 17)))
		value, isNumber := new(big.Rat).SetString(got)
		if !ok || !isNumber || value.Cmp(exact) != 0 {
			t.Fatalf("%v: got %s, want %s", sum, got, exact.FloatString(2))
		}
	})
}

func TestHints(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"1.5":      "",
		"many":     "",
		"":         "",
		"1,5":      "decimal=,",
		"1,000":    "thousands=, / decimal=,",
		"1,000.00": "thousands=,",
		"1.234,50": "decimal=, thousands=.",
		"6-":       "negatives=6-",
		"(2)":      "negatives=(6)",
		"£5.00":    "currency=£",
		"3,10 €":   "currency=€ decimal=,",
		"1 234":    "thousands= ",
		"(£5.00)":  "currency=£ negatives=(6)",
	} {
		var ways []string
		for _, hint := range (Numbers{}).Hints(in) {
			var options []string
			for _, o := range hint {
				options = append(options, o.Key+"="+o.Value)
			}
			ways = append(ways, strings.Join(options, " "))
		}
		if got := strings.Join(ways, " / "); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestNumbersCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		by   Numbers
		want string
	}{
		{Numbers{}, ""}, {Numbers{Decimal: ",", Thousands: ".", Negatives: []string{"6-"}, Currency: []string{"€"}}, ""},
		{Numbers{Decimal: ";"}, "decimal: want"}, {Numbers{Thousands: "."}, "is the decimal mark already"}, {Numbers{Thousands: "x"}, "thousands: want"},
		{Numbers{Negatives: []string{"-6"}}, "negatives: want"}, {Numbers{Currency: []string{"5"}}, "currency: want"}, {Numbers{Currency: []string{" "}}, "currency: want"},
	} {
		if got := c.by.Check(); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%+v: got %q, want %q", c.by, got, c.want)
		}
	}
}

// FuzzNumbers holds every text that is taken against JSON's notation.
func FuzzNumbers(f *testing.F) {
	for _, in := range []string{"1.234,50-", "(£ 5)", "\u2212.5e-3", "0.30000000000000004"} {
		f.Add(in, true)
	}
	f.Fuzz(func(t *testing.T, in string, comma bool) {
		by := Numbers{Negatives: []string{TrailingMinus, Parentheses}, Currency: []string{"£"}, Thousands: ","}
		if comma {
			by.Decimal, by.Thousands = ",", "."
		}
		plain, ok := by.Plain(in)
		if !ok {
			return
		}
		if again, ok := (Numbers{}).Plain(plain); !ok || again != plain {
			t.Fatalf("%q: %q is read as %q, %v", in, plain, again, ok)
		}
		by.Hints(in)
	})
}
