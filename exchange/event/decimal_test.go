package event_test

import (
	"encoding/json"
	"math/big"
	"reflect"
	"strings"
	"testing"

	shopspring "github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/composerp/composerp/exchange/event"
)

func TestParseDecimal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.000": "0", "0e5": "0", "5": "5", "100.0": "100", "52.50": "52.5", "-0.25": "-0.25", "0.000001": "0.000001",
		"1e3": "1000", "1.5E+3": "1500", "1500e-3": "1.5", "12e-6": "0.000012", "0.0000010000": "0.000001", "1e14": "100000000000000",
		"999999999999999.999999": "999999999999999.999999", "-999999999999999.999999": "-999999999999999.999999",
		"123456789012345": "123456789012345", "123456789012.345678": "123456789012.345678", "0.1": "0.1",
	} {
		d, err := event.ParseDecimal(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if b, err := json.Marshal(d); err != nil || string(b) != want {
			t.Errorf("%s becomes %s, %v; want %s", in, b, err, want)
		}
		if again := decimal(t, want); !reflect.DeepEqual(again, d) {
			t.Errorf("%s and %s are not the same Decimal: %#v, %#v", in, want, d, again)
		}
	}
	for _, in := range []string{
		"", "-", "+5", "05", ".5", "5.", "1e", "1e+", "1ee5", "5 ", " 5", "0x10", "1_000", "Inf", "NaN", "five", `"5"`, "null", "٥", "1,5",
		"1e15", "1000000000000000", "0.0000001", "1e-7", "1e999999999", "1e-999999999", "0e999999999", "1e99999999999999999999",
		strings.Repeat("9", 65), "0." + strings.Repeat("0", 63) + "1", "1e300",
	} {
		if d, err := event.ParseDecimal(in); err == nil {
			t.Errorf("%q is taken for %s", in, d)
		}
	}
}

// TestDecimalNeverBecomesTooLong: arithmetic may exceed the bounds, an event may not, and the refusal is cheap.
func TestDecimalNeverBecomesTooLong(t *testing.T) {
	t.Parallel()
	third := shopspring.NewFromInt(1).Div(shopspring.NewFromInt(3))
	for name, d := range map[string]shopspring.Decimal{
		"a third": third, "a billion digits": shopspring.New(1, 1_000_000_000), "a billionth of a billion": shopspring.New(1, -1_000_000_000),
		"1e15": shopspring.New(1, 15), "16 digits": shopspring.NewFromInt(1234567890123456), "7 places": shopspring.New(12345678, -7),
	} {
		if b, err := json.Marshal(event.Decimal{Decimal: d}); err == nil {
			t.Errorf("%s is written as %.40s", name, b)
		}
	}
	for text, d := range map[string]shopspring.Decimal{
		"1.5": shopspring.New(15_000_000_000, -10), "100000000000000": shopspring.New(1, 14), "0": shopspring.New(0, 1_000_000_000), "-0.05": shopspring.New(-50, -3),
	} {
		if b, err := json.Marshal(event.Decimal{Decimal: d}); err != nil || string(b) != text {
			t.Errorf("%s is written as %s, %v", text, b, err)
		}
	}
}

func TestDecimalJSON(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{`"5"`, `null`, `true`, `[]`, `1e999999999`} {
		d := event.NewDecimal(7)
		if err := json.Unmarshal([]byte(bad), &d); err == nil || !d.Equal(event.NewDecimal(7)) {
			t.Errorf("%s becomes %s, %v", bad, d, err)
		}
	}
	var d event.Decimal
	if err := d.Scan([]byte("-12.500000")); err != nil || !d.Equal(decimal(t, "-12.5")) {
		t.Errorf("a numeric becomes %s, %v", d, err)
	}
	if v, err := d.Value(); err != nil || v != "-12.5" {
		t.Errorf("it goes back as %v, %v", v, err)
	}
}

// TestDecimalArithmetic compares decimals with exact fractions.
func TestDecimalArithmetic(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		draw := func(name string) (event.Decimal, *big.Rat) {
			n := rapid.Int64Range(-999_999_999_999_999_999, 999_999_999_999_999_999).Draw(rt, name)
			places := rapid.Int32Range(3, 6).Draw(rt, name+"'s places")
			text := shopspring.New(n, -places).String()
			d, err := event.ParseDecimal(text)
			if err != nil {
				rt.Fatalf("%s: %v", text, err)
			}
			r, _ := new(big.Rat).SetString(text)
			return d, r
		}
		a, ra := draw("a")
		b, rb := draw("b")
		for name, c := range map[string]struct {
			got  event.Decimal
			want *big.Rat
		}{
			"a+b": {a.Add(b), new(big.Rat).Add(ra, rb)}, "a-b": {a.Sub(b), new(big.Rat).Sub(ra, rb)}, "-a": {a.Neg(), new(big.Rat).Neg(ra)},
			"a*b": {a.Mul(b), new(big.Rat).Mul(ra, rb)}, "sum": {event.Sum(a, b, a), new(big.Rat).Add(ra, new(big.Rat).Add(ra, rb))},
		} {
			if c.got.Rat().Cmp(c.want) != 0 {
				rt.Errorf("%s = %s, want %s", name, c.got, c.want.RatString())
			}
		}
		if a.Cmp(b) != ra.Cmp(rb) || a.LessThan(b) != (ra.Cmp(rb) < 0) || a.Equal(b) != (ra.Cmp(rb) == 0) {
			rt.Errorf("comparing %s and %s", a, b)
		}
	})
}

func TestDate(t *testing.T) {
	t.Parallel()
	d, err := event.ParseDate("2024-02-28")
	if err != nil || d.AddDays(2) != "2024-03-01" || d.AddDays(-28) != "2024-01-31" || event.DateOf(d.Time()) != d {
		t.Errorf("%s, %v", d, err)
	}
	for _, bad := range []string{"", "2024-2-28", "2024-02-30", "2024-02-28T00:00:00Z", "yesterday"} {
		if _, err := event.ParseDate(bad); err == nil {
			t.Errorf("%q is a date", bad)
		}
	}
	if !event.Date("").Time().IsZero() || event.Date("").AddDays(1) != "" {
		t.Error("no date is a date")
	}
}
