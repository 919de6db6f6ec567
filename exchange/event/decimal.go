package event

import (
	"github.com/shopspring/decimal"
)

// Decimal is an exact number: a quantity or an amount, of at most 15 integer and 6 fractional digits. In JSON it is
// a number, never a string; in PostgreSQL a numeric.
type Decimal struct{ decimal.Decimal }

// NewDecimal gives a whole number.
func NewDecimal(n int64) Decimal { return Decimal{decimal.NewFromInt(n)} }

// ParseDecimal reads a number as JSON writes it.
func ParseDecimal(s string) (Decimal, error) {
	d, err := decimal.NewFromString(s)
	if err != nil {
		return Decimal{}, &FieldError{Problem: "want a number, got " + quote(s)}
	}
	return Decimal{d}, nil
}

// Add gives d + e.
func (d Decimal) Add(e Decimal) Decimal { return Decimal{d.Decimal.Add(e.Decimal)} }

// Sub gives d - e.
func (d Decimal) Sub(e Decimal) Decimal { return Decimal{d.Decimal.Sub(e.Decimal)} }

// Neg gives -d.
func (d Decimal) Neg() Decimal { return Decimal{d.Decimal.Neg()} }

// Mul gives d × e, which may have more fractional digits than an event can carry.
func (d Decimal) Mul(e Decimal) Decimal { return Decimal{d.Decimal.Mul(e.Decimal)} }

// Cmp gives -1, 0 or 1 when d is less than, equal to or more than e.
func (d Decimal) Cmp(e Decimal) int { return d.Decimal.Cmp(e.Decimal) }

// Equal says whether d and e are the same number; 1.50 and 1.5 are.
func (d Decimal) Equal(e Decimal) bool { return d.Decimal.Equal(e.Decimal) }

// LessThan says whether d < e.
func (d Decimal) LessThan(e Decimal) bool { return d.Decimal.LessThan(e.Decimal) }

// Sum adds up; nothing gives zero.
func Sum(ds ...Decimal) Decimal {
	var sum Decimal
	for _, d := range ds {
		sum = sum.Add(d)
	}
	return sum
}

// MarshalJSON writes a JSON number.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalJSON reads a JSON number.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	p, err := ParseDecimal(string(b))
	*d = p
	return err
}
