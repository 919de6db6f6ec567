package event

import (
	"math/big"
	"strconv"

	"github.com/shopspring/decimal"
)

// The most digits of a Decimal in an event. They fit a PostgreSQL numeric(21, 6).
const (
	maxIntegerDigits    = 15
	maxFractionalDigits = 6
)

const tooManyDigits = "want at most 15 integer and 6 fractional digits, got "

// Decimal is an exact number: a quantity or an amount, of at most 15 integer and 6 fractional digits. In JSON it is
// a number, never a string; in PostgreSQL a numeric. The zero value is 0. Compare with Cmp or Equal, not with ==.
//
// Arithmetic is exact and may exceed these digits; they are checked when a number is read and when it is written
// into an event.
type Decimal struct{ decimal.Decimal }

// NewDecimal returns the whole number n.
func NewDecimal(n int64) Decimal {
	if n == 0 {
		return Decimal{}
	}
	return Decimal{decimal.New(n, 0)}
}

// ParseDecimal reads a number in JSON's notation: 5, -0.25, 1.5e3. The error is a *FieldError without a field. Two
// texts of one number result in the same Decimal: 1.50 is 1.5.
func ParseDecimal(s string) (Decimal, error) {
	d, problem := parseDecimal(s)
	if problem != "" {
		return Decimal{}, &FieldError{Problem: problem}
	}
	return d, nil
}

// parseDecimal is ParseDecimal, with the problem as a text that is empty when there is none.
func parseDecimal(s string) (Decimal, string) {
	var n numeral
	if problem := n.read(s); problem != "" {
		return Decimal{}, problem
	}
	if len(n.digits()) == 0 {
		return Decimal{}, ""
	}
	exponent := int32(-n.fraction)
	if len(n.digits()) <= 18 {
		v, err := strconv.ParseInt(string(n.digits()), 10, 64)
		if err != nil {
			return Decimal{}, "want a number, got " + quote(s)
		}
		if n.negative {
			v = -v
		}
		return Decimal{decimal.New(v, exponent)}, ""
	}
	v, ok := new(big.Int).SetString(string(n.digits()), 10)
	if !ok {
		return Decimal{}, "want a number, got " + quote(s)
	}
	if n.negative {
		v.Neg(v)
	}
	return Decimal{decimal.NewFromBigInt(v, exponent)}, ""
}

// Add returns d + e.
func (d Decimal) Add(e Decimal) Decimal { return Decimal{d.Decimal.Add(e.Decimal)} }

// Sub returns d - e.
func (d Decimal) Sub(e Decimal) Decimal { return Decimal{d.Decimal.Sub(e.Decimal)} }

// Neg returns -d.
func (d Decimal) Neg() Decimal { return Decimal{d.Decimal.Neg()} }

// Mul returns d × e, which may have more fractional digits than an event can carry.
func (d Decimal) Mul(e Decimal) Decimal { return Decimal{d.Decimal.Mul(e.Decimal)} }

// Cmp returns -1, 0 or 1 when d is less than, equal to or more than e.
func (d Decimal) Cmp(e Decimal) int { return d.Decimal.Cmp(e.Decimal) }

// Equal reports whether d and e are the same number, as 1.50 and 1.5 are.
func (d Decimal) Equal(e Decimal) bool { return d.Decimal.Equal(e.Decimal) }

// LessThan reports whether d < e.
func (d Decimal) LessThan(e Decimal) bool { return d.Decimal.LessThan(e.Decimal) }

// Sum returns the sum of ds, 0 when there are none.
func Sum(ds ...Decimal) Decimal {
	var sum Decimal
	for _, d := range ds {
		sum = sum.Add(d)
	}
	return sum
}

// MarshalJSON returns d as a JSON number, and an error when d has more digits than an event can carry.
func (d Decimal) MarshalJSON() ([]byte, error) {
	b, problem := d.appendTo(nil)
	if problem != "" {
		return nil, &FieldError{Problem: problem}
	}
	return b, nil
}

// UnmarshalJSON reads a JSON number. It refuses null and strings, even of digits.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	p, err := ParseDecimal(string(b))
	if err != nil {
		return err
	}
	*d = p
	return nil
}

// UnmarshalText reads the texts that ParseDecimal reads.
func (d *Decimal) UnmarshalText(b []byte) error { return d.UnmarshalJSON(b) }

// appendTo appends the shortest text of d without an exponent. The returned problem is not empty when an event cannot
// carry d. The digits are counted before they are written: the text of a computed number could fill the memory.
func (d Decimal) appendTo(b []byte) ([]byte, string) {
	exponent, digits := d.Exponent(), d.NumDigits()
	if d.IsZero() {
		return append(b, '0'), ""
	}
	if exponent > maxIntegerDigits || exponent < -maxNumberLength || digits > maxNumberLength {
		return b, tooManyDigits + "a number of " + strconv.Itoa(digits) + " digits and exponent " + strconv.Itoa(int(exponent))
	}
	if digits > 18 || exponent > 0 || exponent < -maxFractionalDigits {
		text := d.String()
		if problem := new(numeral).read(text); problem != "" {
			return b, problem
		}
		return append(b, text...), ""
	}
	start := len(b)
	b = strconv.AppendInt(b, d.CoefficientInt64(), 10)
	if digits+int(exponent) > maxIntegerDigits {
		return b[:start], tooManyDigits + d.String()
	}
	return appendPoint(b, start, int(-exponent)), ""
}

// appendPoint inserts a decimal point before the last fraction digits of the whole number that begins at b[start], and
// removes trailing zeros after the point.
func appendPoint(b []byte, start, fraction int) []byte {
	for fraction > 0 && b[len(b)-1] == '0' {
		b = b[:len(b)-1]
		fraction--
	}
	if fraction == 0 {
		return b
	}
	if b[start] == '-' {
		start++
	}
	for len(b)-start <= fraction {
		b = append(b, 0)
		copy(b[start+1:], b[start:])
		b[start] = '0'
	}
	point := len(b) - fraction
	b = append(b, 0)
	copy(b[point+1:], b[point:])
	b[point] = '.'
	return b
}
