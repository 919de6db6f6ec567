package pg

import (
	"cmp"
	"database/sql/driver"
	"encoding/hex"
	"reflect"
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

// Columns are the arguments of a set-based statement, one array a column, filled row by row.
type Columns []any // each a *Column

// NewColumns returns empty columns with room for a number of rows.
func NewColumns(columns, rows int) Columns {
	c := make(Columns, columns)
	for i := range c {
		c[i] = NewColumn(rows, 12)
	}
	return c
}

// Add writes a row, one value a column. A nil pointer and an empty date become NULL.
func (c Columns) Add(row ...any) {
	if len(row) != len(c) {
		panic("a row has another number of values than there are columns")
	}
	for i, value := range row {
		c[i].(*Column).add(value)
	}
}

// Rows is the number of rows.
func (c Columns) Rows() int { return c[0].(*Column).n }

// Expiry is a day; "" (not known) becomes -infinity.
type Expiry event.Date

// Column is an array of the elements written to it.
type Column struct {
	text []byte
	n    int
}

// NewColumn makes room for n elements of about width bytes.
func NewColumn(n, width int) *Column {
	return &Column{text: append(make([]byte, 0, n*(width+1)+2), '{')}
}

func (p *Column) next() {
	if p.n > 0 {
		p.text = append(p.text, ',')
	}
	p.n++
}

func (p *Column) plain(element string) {
	p.next()
	p.text = append(p.text, element...)
}

func (p *Column) add(value any) {
	switch v := value.(type) {
	case string:
		p.Text(v)
	case int:
		p.Integer(int64(v))
	case int64:
		p.Integer(v)
	case bool:
		p.Boolean(v)
	case []byte:
		p.Text(`\x` + hex.EncodeToString(v))
	case uuid.UUID:
		p.UUID(v)
	case uuid.NullUUID:
		if v.Valid {
			p.UUID(v.UUID)
		} else {
			p.plain(null)
		}
	case time.Time:
		p.Time(v)
	case event.Decimal:
		p.Decimal(v)
	case event.Date:
		p.plain(cmp.Or(string(v), null))
	case Expiry:
		p.plain(cmp.Or(string(v), "-infinity"))
	case *int64:
		if v == nil {
			p.plain(null)
		} else {
			p.Integer(*v)
		}
	case *event.Decimal:
		if v == nil {
			p.plain(null)
		} else {
			p.Decimal(*v)
		}
	case nil:
		p.plain(null)
	default:
		panic("no column takes " + reflect.TypeOf(value).String())
	}
}

const null = "NULL"

// Integer writes a number.
func (p *Column) Integer(v int64) {
	p.next()
	p.text = strconv.AppendInt(p.text, v, 10)
}

// Boolean writes true or false.
func (p *Column) Boolean(v bool) {
	p.next()
	p.text = strconv.AppendBool(p.text, v)
}

// UUID writes an id.
func (p *Column) UUID(v uuid.UUID) {
	p.next()
	p.text = appendUUID(p.text, v)
}

// Time writes a moment in UTC.
func (p *Column) Time(v time.Time) {
	p.next()
	p.text = v.UTC().AppendFormat(p.text, time.RFC3339Nano)
}

// Decimal writes an exact number.
func (p *Column) Decimal(v event.Decimal) {
	p.next()
	if v.Exponent() == 0 && v.NumDigits() <= 18 {
		p.text = strconv.AppendInt(p.text, v.CoefficientInt64(), 10)
		return
	}
	p.text = append(p.text, v.String()...)
}

// Text writes a text in quotes.
func (p *Column) Text(s string) {
	p.next()
	p.text = append(p.text, '"')
	if strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0 {
		p.text = append(p.text, s...)
	} else {
		for i := range len(s) {
			if s[i] == '"' || s[i] == '\\' {
				p.text = append(p.text, '\\')
			}
			p.text = append(p.text, s[i])
		}
	}
	p.text = append(p.text, '"')
}

// String is the array as PostgreSQL reads it.
func (p *Column) String() string { return string(p.text) + "}" }

// Value implements driver.Valuer.
func (p *Column) Value() (driver.Value, error) { return p.String(), nil }

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
