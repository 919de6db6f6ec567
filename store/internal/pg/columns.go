package pg

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/composerp/composerp/exchange/event"
)

// # Columns of a statement
//
// A set-based statement takes its rows as one array a column. These types write the arrays as PostgreSQL reads them,
// straight into one buffer; lib/pq's own arrays make a string of each element and scan it three times.

// Column is an array of elements that need no quotes: numbers, ids and times.
type Column struct {
	Text []byte
	N    int
}

// NewColumn makes room for n elements of about width bytes.
func NewColumn(n, width int) *Column {
	return &Column{Text: append(make([]byte, 0, n*(width+1)+2), '{')}
}

func (p *Column) next() {
	if p.N > 0 {
		p.Text = append(p.Text, ',')
	}
	p.N++
}

// Integer writes a number.
func (p *Column) Integer(v int64) {
	p.next()
	p.Text = strconv.AppendInt(p.Text, v, 10)
}

// Boolean writes true or false.
func (p *Column) Boolean(v bool) {
	p.next()
	p.Text = strconv.AppendBool(p.Text, v)
}

// UUID writes an id.
func (p *Column) UUID(v uuid.UUID) {
	p.next()
	p.Text = appendUUID(p.Text, v)
}

// Time writes a moment in UTC.
func (p *Column) Time(v time.Time) {
	p.next()
	p.Text = v.UTC().AppendFormat(p.Text, time.RFC3339Nano)
}

// Decimal writes an exact number.
func (p *Column) Decimal(v event.Decimal) {
	p.next()
	if v.Exponent() == 0 && v.NumDigits() <= 18 {
		p.Text = strconv.AppendInt(p.Text, v.CoefficientInt64(), 10)
		return
	}
	p.Text = append(p.Text, v.String()...)
}

// Date writes a calendar day.
func (p *Column) Date(d event.Date) {
	p.next()
	p.Text = append(p.Text, d...)
}

// Expiry writes a day; "" (not known) becomes -infinity.
func (p *Column) Expiry(d event.Date) {
	p.next()
	if d == "" {
		d = "-infinity"
	}
	p.Text = append(p.Text, d...)
}

// Optional writes a number or NULL.
func (p *Column) Optional(v *event.Decimal) {
	if v == nil {
		p.next()
		p.Text = append(p.Text, "NULL"...)
		return
	}
	p.Decimal(*v)
}

// DateOrNull writes a day; "" becomes NULL.
func (p *Column) DateOrNull(d event.Date) {
	p.next()
	if d == "" {
		p.Text = append(p.Text, "NULL"...)
		return
	}
	p.Text = append(p.Text, d...)
}

// Null writes NULL.
func (p *Column) Null() {
	p.next()
	p.Text = append(p.Text, "NULL"...)
}

// IntegerOrNull writes a number; nil becomes NULL.
func (p *Column) IntegerOrNull(v *int64) {
	if v == nil {
		p.Null()
		return
	}
	p.Integer(*v)
}

// Value implements driver.Valuer.
func (p *Column) Value() (driver.Value, error) { return string(p.Text) + "}", nil }

func appendUUID(b []byte, v uuid.UUID) []byte {
	const digits = "0123456789abcdef"
	for i, c := range v {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
}

// UUIDs is a column of ids.
func UUIDs(ids []uuid.UUID) *Column {
	p := NewColumn(len(ids), 36)
	for _, id := range ids {
		p.UUID(id)
	}
	return p
}

// Texts is an array of short, quoted texts.
type Texts struct{ text []byte }

// NewTexts makes room for n texts of about width bytes.
func NewTexts(n, width int) *Texts { return &Texts{append(make([]byte, 0, n*(width+3)+2), '{')} }

// Add writes a text in quotes.
func (t *Texts) Add(s string) {
	if len(t.text) > 1 {
		t.text = append(t.text, ',')
	}
	t.text = append(t.text, '"')
	if strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0 {
		t.text = append(t.text, s...)
	} else {
		for i := range len(s) {
			if s[i] == '"' || s[i] == '\\' {
				t.text = append(t.text, '\\')
			}
			t.text = append(t.text, s[i])
		}
	}
	t.text = append(t.text, '"')
}

// Value implements driver.Valuer.
func (t *Texts) Value() (driver.Value, error) { return string(t.text) + "}", nil }

// Bodies are JSON texts joined by a character that JSON cannot contain (RFC 8259, 7: control characters are escaped
// in strings, and not white space outside them). string_to_array($n, SplitBodies) splits them in SQL. As elements of
// an array, each of their many quotes would be escaped here and unescaped there.
type Bodies [][]byte

const (
	bodySeparator = "\x1e"
	// SplitBodies is the separator as SQL writes it.
	SplitBodies = `E'\x1e'`
)

var errNoJSON = errors.New("an event's body holds a control character, so it is not JSON")

// Value implements driver.Valuer.
func (b Bodies) Value() (driver.Value, error) {
	size := 0
	for _, body := range b {
		size += len(body) + 1
	}
	var joined strings.Builder
	joined.Grow(size)
	for i, body := range b {
		if i > 0 {
			joined.WriteString(bodySeparator)
		}
		joined.Write(body)
	}
	if strings.Count(joined.String(), bodySeparator) != len(b)-1 {
		return nil, errNoJSON
	}
	return joined.String(), nil
}

// AtMost is a LIMIT; 0 means none.
func AtMost(limit int) sql.NullInt64 { return sql.NullInt64{Int64: int64(limit), Valid: limit > 0} }

// Nullable is a text; "" becomes NULL.
func Nullable(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

// Seconds converts PostgreSQL's seconds.
func Seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
