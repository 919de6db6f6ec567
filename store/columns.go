package store

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
// A set-based statement gets its rows as one array a column. What follows writes
// them as PostgreSQL reads them, straight into one buffer; lib/pq's own arrays
// make a string of each element and look at each byte of it three times.

// Column is an array of elements that need no quotes: numbers, ids and times.
type Column struct {
	text []byte
	n    int
}

func NewColumn(n, width int) *Column {
	return &Column{text: append(make([]byte, 0, n*(width+1)+2), '{')}
}

func (p *Column) next() {
	if p.n > 0 {
		p.text = append(p.text, ',')
	}
	p.n++
}

func (p *Column) integer(v int64) {
	p.next()
	p.text = strconv.AppendInt(p.text, v, 10)
}

func (p *Column) boolean(v bool) {
	p.next()
	p.text = strconv.AppendBool(p.text, v)
}

func (p *Column) uuid(v uuid.UUID) {
	p.next()
	p.text = appendUUID(p.text, v)
}

func (p *Column) time(v time.Time) {
	p.next()
	p.text = v.UTC().AppendFormat(p.text, time.RFC3339Nano)
}

func (p *Column) decimal(v event.Decimal) {
	p.next()
	if v.Exponent() == 0 && v.NumDigits() <= 18 {
		p.text = strconv.AppendInt(p.text, v.CoefficientInt64(), 10)
		return
	}
	p.text = append(p.text, v.String()...)
}

// date writes a calendar day.
func (p *Column) date(d event.Date) {
	p.next()
	p.text = append(p.text, d...)
}

// expiry writes a day, "" as the one before all days: not known.
func (p *Column) expiry(d event.Date) {
	p.next()
	if d == "" {
		d = "-infinity"
	}
	p.text = append(p.text, d...)
}

// optional adds a number or NULL.
func (p *Column) optional(v *event.Decimal) {
	if v == nil {
		p.next()
		p.text = append(p.text, "NULL"...)
		return
	}
	p.decimal(*v)
}

// dateOrNull writes no date as NULL.
func (p *Column) dateOrNull(d event.Date) {
	p.next()
	if d == "" {
		p.text = append(p.text, "NULL"...)
		return
	}
	p.text = append(p.text, d...)
}

func (p *Column) null() {
	p.next()
	p.text = append(p.text, "NULL"...)
}

func (p *Column) integerOrNull(v *int64) {
	if v == nil {
		p.null()
		return
	}
	p.integer(*v)
}

// Value is what the driver sends.
func (p *Column) Value() (driver.Value, error) { return string(p.text) + "}", nil }

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

func UUIDs(ids []uuid.UUID) *Column {
	p := NewColumn(len(ids), 36)
	for _, id := range ids {
		p.uuid(id)
	}
	return p
}

// Texts is an array of short texts, each in quotes.
type Texts struct{ text []byte }

func NewTexts(n, width int) *Texts { return &Texts{append(make([]byte, 0, n*(width+3)+2), '{')} }

func (t *Texts) add(s string) {
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

// Value is what the driver sends.
func (t *Texts) Value() (driver.Value, error) { return string(t.text) + "}", nil }

// Bodies are JSON texts, one after the other, with a character between them that
// JSON can not contain (RFC 8259, 7: control characters in strings are escaped,
// and outside of them there is other white space only). In SQL
// string_to_array($n, bodySeparator) gives them back. As elements of an array
// each of their many quotes would have to be escaped here and read again there.
type Bodies [][]byte

const (
	bodySeparator = "\x1e"
	splitBodies   = `E'\x1e'`
)

var errNoJSON = errors.New("an event's body holds a control character, so it is not JSON")

// Value is what the driver sends.
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

func atMost(limit int) sql.NullInt64 { return sql.NullInt64{Int64: int64(limit), Valid: limit > 0} }

func nullable(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
